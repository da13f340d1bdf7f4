"""The URL paths of version 1. Unversioned and singular paths are aliases."""

IMAGES = "/{images:(?:v1/)?images?}"
IMAGE = IMAGES + "/{image_id:[^/.]+}"
INFO = IMAGE + "/info"
VARIANT = IMAGE + "{dot:[.]}{extension:[^/.]+}"
TRANSFORM = "/{transform:(?:v1/)?transform}"

LOCATION = "/internal/images/{image_id}"
"""Where the transform service locates images in the storage service. Not for clients."""

MAX_URL = 8192
"""The limit on a URL: bytes of path and query."""


def route_pattern(pattern: str) -> str:
    """The pattern of a route, in its canonical spelling, such as `/v1/images/{image_id}.{extension}`."""
    for group, spelling in (("{images}", "v1/images"), ("{transform}", "v1/transform"), ("{dot}", ".")):
        pattern = pattern.replace(group, spelling)
    return pattern


def image_url(image_id: str, extension: str = "", base: str = "") -> str:
    """The canonical URL of an image, or of its variant in the format of `extension`; without a `base`, its path."""
    return f"{base}/v1/images/{image_id}" + (f".{extension}" if extension else "")
