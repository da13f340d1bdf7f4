"""The request that tells a cache of a deletion: the storage service sends each node `PURGE /v1/images/{id}`."""

from collections.abc import Iterable

METHOD = "PURGE"

CONTENT_HEADER = "X-Content"
"""The content (SHA-256) that no other image has, so that its results can go."""

KEYS_HEADER = "Xkey"
"""The surrogate keys of a response, by which Varnish finds everything that shows an image (varnish/purge.vcl)."""


def surrogate_keys(image_ids: Iterable[str]) -> str:
    """The value of KEYS_HEADER for a response that shows these images."""
    return " ".join(f"image-{image_id}" for image_id in image_ids)
