"""Query parameters: how they are decoded, and those that mean the same on every path."""

import re
from urllib.parse import unquote_to_bytes

DOWNLOAD = "download"
"""Makes browsers save an image instead of showing it."""
TRACKING = re.compile(r"utm_.*|gclid|fbclid", re.DOTALL)
"""Tracking parameters, which are ignored. Varnish removes the same ones (varnish/urls.vcl); a test compares them."""
CACHE_BUSTERS = frozenset({"v", "t"})
"""A new value makes a new URL, which no cache knows yet. That is their only effect."""
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def decoded(pair: str) -> tuple[str, str]:
    """The name and the value of `name=value`, each percent-decoded once; `+` is a plus sign.

    Raises ValueError, which says what is wrong.
    """
    if _BAD_ESCAPE.search(pair):
        raise ValueError("`%` must be followed by two hex digits; write a percent sign as %25")
    name, _, value = pair.partition("=")
    try:
        return unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise ValueError("the percent-encoded bytes are not valid UTF-8") from None


def is_ignored(name: str) -> bool:
    """Whether a parameter has no effect on responses."""
    return name in CACHE_BUSTERS or TRACKING.fullmatch(name) is not None


def misplaced(name: str) -> str:
    """What is wrong with a parameter of signed URLs that is elsewhere."""
    return f"`{name}` belongs to the end of a signed URL of a picture; remove it, or sign the URL (imgsvc sign --help)"
