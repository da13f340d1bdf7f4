"""The URL paths of version 1, with the unversioned and the singular spelling as aliases."""

_PREFIX = r"/{alias:(?:v1/)?"

IMAGES = _PREFIX + "images?}"
IMAGE = IMAGES + "/{image_id:[^/.]+}"
INFO = IMAGE + "/info"
VARIANT = IMAGE + "{dot:[.]}{extension:[^/.]+}"
TRANSFORM = _PREFIX + "transform}"

MAX_URL = 8192
"""Bytes of path and query."""


def image_url(image_id: str, extension: str = "") -> str:
    """The canonical path of an image, or of its conversion."""
    return f"/v1/images/{image_id}" + (f".{extension}" if extension else "")
