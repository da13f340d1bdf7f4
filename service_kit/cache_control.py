"""What responses with images say to caches, and the syntax of the settings for that."""

import difflib
import re
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import AfterValidator

_SECONDS = {"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"}
_PLAIN = {
    *("public", "private", "no-cache", "no-store", "no-transform", "immutable"),
    *("must-revalidate", "proxy-revalidate", "must-understand"),
}

_TIME = re.compile("^((?:s-)?max-?age=)([0-9]+)$")
_BEYOND = re.compile("immutable|stale-")
YEAR = 31_536_000

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
    lifetime: int = YEAR
    """Seconds for which Varnish may keep an image by ID."""

    def private(self, seconds: int) -> "Caching":
        """The same for a private image: only the client keeps it, for `seconds`, or asks each time if that is 0."""
        seconds = min(seconds, self.lifetime)
        text = f"private, max-age={seconds}" if seconds else "private, no-cache"
        return Caching(text, immutable=self.immutable, lifetime=self.lifetime)

    def changing(self) -> "Caching":
        """The same for what a name shows, which may be another image at any time: caches ask each time."""
        given = {part.strip() for part in self.cache_control.split(",")}
        if "no-store" in given:
            text = self.cache_control
        else:
            text = "private, no-cache" if "private" in given else "public, no-cache"
        return Caching(text, key_header=self.key_header)

    def within(self, seconds: int) -> "Caching":
        """The same for an image that expires in so many seconds: no cache keeps it for longer."""
        return replace(
            self,
            cache_control=_within(self.cache_control, seconds),
            cdn_cache_control=_within(self.cdn_cache_control, seconds),
            lifetime=min(self.lifetime, seconds),
        )


def _within(text: str, seconds: int) -> str:
    """Directives with shorter times, and without those that go beyond them."""
    kept = [part for part in re.split(r"\s*,\s*", text) if part and not _BEYOND.match(part)]
    return ", ".join(_TIME.sub(lambda found: f"{found[1]}{min(int(found[2]), seconds)}", part) for part in kept)
