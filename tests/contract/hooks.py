"""What Schemathesis sends where a schema only says `binary`, and IDs of images that exist."""

import io
import os
import random
import re

import schemathesis
from hypothesis import strategies
from PIL import Image

FORMATS = ("AVIF", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
IMAGES = os.environ["IMAGES"].split(",")
"""IDs of stored images."""
OWN_KEY = os.environ["KEY"].split("_")[1]
"""The ID of the key that all requests have."""
_IMAGE_ID, _VERSION = re.compile("[0-9a-f]{32}"), 12
"""IDs that the service makes have the digit 4 there."""
_MOST = 3
"""Parameters of one request: with all of them at once, there is always one that does not suit the others."""


def picture(fmt: str) -> bytes:
    body = io.BytesIO()
    Image.radial_gradient("L").resize((40, 30)).convert("RGB").save(body, fmt)
    return body.getvalue()


def files(fmt: str) -> strategies.SearchStrategy[bytes]:
    """Mostly whole images, but also damaged ones."""
    whole = picture(fmt)
    cut = strategies.integers(1, len(whole)).map(lambda length: whole[:length])
    return strategies.one_of(strategies.just(whole), strategies.just(whole), cut, strategies.binary(max_size=64))


for name in FORMATS:
    schemathesis.openapi.media_type(f"image/{name.lower()}", files(name))


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, object]) -> None:
    """Ask for images that exist instead of those with random IDs, and leave the own key alone."""
    del context, kwargs
    if case.meta and case.meta.generation.mode.is_positive and len(case.query or {}) > _MOST:
        case.query = {name: case.query[name] for name in random.Random(str(case.query)).sample([*case.query], _MOST)}
    given = case.path_parameters or {}
    if given.get("key_id") == OWN_KEY:
        case.path_parameters = given | {"key_id": "0" * len(OWN_KEY)}
    if case.path == "/deletions" and isinstance(case.body, dict) and case.meta.generation.mode.is_positive:
        case.body = case.body | {"created_before": "2000-01-01T00:00:00Z"}  # the images stay
    image_id = str(given.get("image_id", ""))
    if _IMAGE_ID.fullmatch(image_id) and image_id[_VERSION] != "4":
        case.path_parameters = given | {"image_id": IMAGES[int(image_id, 16) % len(IMAGES)]}
