"""Purges: the storage service sends `PURGE /v1/images/{id}` to each node of each cache.

It does so after a deletion, and after it has found an image damaged.
"""

from collections.abc import Iterable

METHOD = "PURGE"

CONTENT_HEADER = "X-Content"
"""The SHA-256 of the image, if no whole image has that content: the cache can drop its results."""

REASON_HEADER = "X-Purge-Reason"
DAMAGED = "damaged"
"""The value of REASON_HEADER if the image still exists. Otherwise it was deleted."""

KEYS_HEADER = "Xkey"
"""The surrogate keys of a response. Varnish uses them to find all responses that show an image (varnish/purge.vcl)."""


LIFETIME_HEADER = "Surrogate-Control"
UNTIL_HEADER = "Until"
"""Until when anybody may keep an image that expires or changes, in seconds since 1970. Varnish counts down to it."""
"""How long Varnish may keep a response. Cache-Control, which operators can set, is for everyone else."""


VIEWERS_HEADER = "Viewers"
"""Who may get a response from Varnish (varnish/access.vcl): `space-NAME` or `any`, of those with a right to see it."""


def surrogate_key(image_id: str) -> str:
    """The surrogate key of an image."""
    return f"image-{image_id}"


def name_key(name: str) -> str:
    """The surrogate key of a name."""
    return f"name-{name}"


def surrogate_keys(image_ids: Iterable[str]) -> str:
    """The value of KEYS_HEADER for a response that shows these images."""
    return " ".join(map(surrogate_key, image_ids))
