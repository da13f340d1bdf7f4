"""Image IDs: the 32 lower-case hex digits of a random UUID4."""

import re
import uuid

from service_kit.errors import BadRequest

_IMAGE_ID = re.compile(r"[0-9a-f]{32}")


def new_image_id() -> str:
    """A new ID, too random to guess (122 bits)."""
    return uuid.uuid4().hex


def checked_image_id(text: str) -> str:
    """Return `text` if it is an image ID, otherwise raise BadRequest."""
    if _IMAGE_ID.fullmatch(text):
        return text
    raise BadRequest(f"{text[:64]!r} is not an image ID; use the 32 hex digits that the upload returned")
