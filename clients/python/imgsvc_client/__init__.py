"""A client of imgsvc: uploads images, and makes the URLs of their variants."""

from imgsvc_client.chains import Chain, Variant
from imgsvc_client.errors import ApiError, ConnectionFailed, ImgsvcError
from imgsvc_client.models import Focus, Image, ImageDetails, UploadToken
from imgsvc_client.signing import sign
from imgsvc_client.sync_client import Client

__all__ = [
    "ApiError",
    "Chain",
    "Client",
    "ConnectionFailed",
    "Focus",
    "Image",
    "ImageDetails",
    "ImgsvcError",
    "UploadToken",
    "Variant",
    "sign",
]
