"""What responses with images say to caches, and the syntax of the settings for that."""

import difflib
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

_SECONDS = {"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"}
_PLAIN = {
    *("public", "private", "no-cache", "no-store", "no-transform", "immutable"),
    *("must-revalidate", "proxy-revalidate", "must-understand"),
}

KeyHeader = Literal["", "Surrogate-Key", "Cache-Tag", "Edge-Cache-Tag"]
"""A header for surrogate keys that some CDN reads; empty: none."""


def _checked(text: str) -> str:
    """Refuse what caches would ignore or misread (RFC 9111, 5.2; RFC 9213 for CDNs)."""
    for directive in filter(None, (part.strip() for part in text.split(","))):
        name, given, value = directive.partition("=")
        if name not in _SECONDS | _PLAIN:
            close = difflib.get_close_matches(name.lower(), sorted(_SECONDS | _PLAIN), n=1)
            hint = f"did you mean {close[0]}?" if close else f"use {', '.join(sorted(_SECONDS | _PLAIN))}"
            raise ValueError(f"{name!r} is not a directive; {hint}")
        if name in _SECONDS and not re.fullmatch("[0-9]{1,9}", value):
            raise ValueError(f"{directive!r} needs a number of seconds, such as {name}=3600")
        if name in _PLAIN and given:
            raise ValueError(f"{name!r} takes no value; write it without {given + value!r}")
    return text


CacheControl = Annotated[str, AfterValidator(_checked)]
"""The value of Cache-Control or CDN-Cache-Control; empty: none."""


@dataclass(frozen=True, slots=True)
class Caching:
    """What a response with an image says to caches: Varnish, CDNs and browsers."""

    cache_control: CacheControl
    cdn_cache_control: CacheControl = ""
    key_header: KeyHeader = ""
    """The header in which a CDN finds surrogate keys."""
    immutable: bool = False
    """Whether it is an image by ID, whose content never changes."""

    def private(self, seconds: int) -> "Caching":
        """The same for a private image: only the client keeps it, for `seconds`, or asks each time if that is 0."""
        return Caching(f"private, max-age={seconds}" if seconds else "private, no-cache", immutable=self.immutable)
