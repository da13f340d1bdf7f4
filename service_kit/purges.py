"""How caches are told that an image is gone: the storage service sends each node `PURGE /v1/images/{id}`."""

from collections.abc import Iterable

METHOD = "PURGE"

CONTENT_HEADER = "X-Content"
"""The content (SHA-256) that no image has any more, so that what was made of it can go."""

KEYS_HEADER = "Xkey"
"""The surrogate keys of an answer, by which Varnish finds all that an image is in (varnish/purge.vcl)."""


def surrogate_keys(image_ids: Iterable[str]) -> str:
    """The value of KEYS_HEADER for an answer that shows these images."""
    return " ".join(f"image-{image_id}" for image_id in image_ids)
