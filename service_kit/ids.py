"""Image ids: 32 lower-case hex digits of a random UUID4."""

import re
import uuid

from service_kit.errors import BadRequest

_IMAGE_ID = re.compile(r"[0-9a-f]{32}")


def new_image_id() -> str:
    """An id that nobody can guess (122 random bits)."""
    return uuid.uuid4().hex


def checked_image_id(text: str) -> str:
    """`text` itself when it is an id, else BadRequest."""
    if _IMAGE_ID.fullmatch(text):
        return text
    raise BadRequest(f"{text[:64]!r} is no image id; an id is 32 lower-case hex digits, as the upload returned it")
