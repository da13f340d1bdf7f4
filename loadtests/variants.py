"""What a site requests of an image: weighted URLs, each with its expected answer."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from loadtests.corpus import Entry
from loadtests.photos import Colour
from measuring.zipf import Zipf

T = TypeVar("T")
EXPONENT = 0.9
"""Of Zipf's law. Web caches see 0.64 to 0.83 per proxy (Breslau et al., INFOCOM 1999), photo sites about 1."""
_LADDER = {320: 14, 480: 16, 640: 18, 768: 14, 1024: 14, 1366: 10, 1600: 6, 1920: 8}
"""Widths of a srcset, weighted by screens: phones with 1.5 to 3 pixels per CSS pixel, then laptops."""
_SQUARES = {64: 20, 128: 30, 200: 30, 320: 20}
_THUMBS = {150: 40, 300: 60}
_ANY_WIDTH = (240, 1280)
"""Widths that a layout computes, as on sites without a ladder: rarely two are equal, so they are rarely cached."""

_BROWSERS = {
    "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8": (70, "image/avif"),  # Chrome, Edge
    "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,image/svg+xml,"
    "image/*;q=0.8,*/*;q=0.5": (18, "image/avif"),  # Safari from 16.4
    "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5": (5, "image/avif"),  # Firefox
    "image/webp,image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5": (4, "image/webp"),  # Safari 14
    "image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5": (3, ""),  # older: the original's format
}
"""`Accept` for images: how many of a hundred visitors send it, and what `.auto` gives them."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A right answer."""

    content_type: str
    width: int
    height: int
    mean: Colour | None
    """None if it is not known in advance."""
    bytes: int | None = None
    """Only of an original."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a viewer."""

    kind: str
    path: str
    expected: Expected


def accept(chance: random.Random) -> str:
    """The `Accept` header of a browser."""
    return _weighted({browser: share for browser, (share, _) in _BROWSERS.items()}, chance)


def _weighted(weights: Mapping[T, int], chance: random.Random) -> T:
    return chance.choices(list(weights), list(weights.values()))[0]


def _auto(entry: Entry, browser: str, query: str, size: tuple[int, int], mean: Colour | None) -> tuple[str, Expected]:
    """A variant in the best format for a browser."""
    content_type = _BROWSERS[browser][1] or f"image/{entry.format}"
    return f"/v1/images/{entry.image_id}.auto?{query}", Expected(content_type, *size, mean)


def _resized(kind: str, entry: Entry, browser: str, width: int) -> Asked:
    width = min(width, entry.width)
    height = round(entry.height * width / entry.width)
    return Asked(kind, *_auto(entry, browser, f"resize={width}x", (width, height), entry.mean))


def ladder(entry: Entry, browser: str, chance: random.Random) -> Asked:
    """One step of a srcset."""
    return _resized("ladder", entry, browser, _weighted(_LADDER, chance))


def any_width(entry: Entry, browser: str, chance: random.Random) -> Asked:
    """A rare width."""
    return _resized("any width", entry, browser, chance.randint(*_ANY_WIDTH))


def square(entry: Entry, browser: str, chance: random.Random) -> Asked:
    """A square thumbnail, as in lists and carts."""
    side = _weighted(_SQUARES, chance)
    return Asked("square", *_auto(entry, browser, f"resize={side}x{side},cover", (side, side), entry.square_mean))


def cropped(entry: Entry, browser: str, _chance: random.Random) -> Asked:
    """A square cut out of a thumbnail. Its colour is not known in advance."""
    return Asked("square", *_auto(entry, browser, "thumb=360&crop=120x120,centre", (120, 120), None))


def thumb(entry: Entry, _browser: str, chance: random.Random) -> Asked:
    """A WebP thumbnail for every browser, as on sites with a plain <img>."""
    side = _weighted(_THUMBS, chance)
    share = min(1.0, side / max(entry.width, entry.height))
    expected = Expected("image/webp", round(entry.width * share), round(entry.height * share), entry.mean)
    return Asked("thumb", f"/v1/images/{entry.image_id}.webp?thumb={side}&compress=70", expected)


def original(entry: Entry, _browser: str, _chance: random.Random) -> Asked:
    """The file itself, as for a download or a lightbox."""
    expected = Expected(f"image/{entry.format}", entry.width, entry.height, entry.mean, entry.bytes)
    return Asked("original", f"/v1/images/{entry.image_id}", expected)


_KINDS: dict[Callable[[Entry, str, random.Random], Asked], int] = {
    ladder: 550,
    square: 200,
    cropped: 60,
    thumb: 140,
    original: 30,
    any_width: 20,
}


def usual(entry: Entry) -> list[tuple[str, str]]:
    """Path and `Accept` of what most visitors request of an image."""
    suffixes = [
        *(f".webp?thumb={side}&compress=70" for side in _THUMBS),
        *(f".auto?resize={side}x{side},cover" for side in _SQUARES),
        ".auto?thumb=360&crop=120x120,centre",
        *(f".auto?resize={min(width, entry.width)}x" for width in _LADDER),
        "",
    ]
    return [(f"/v1/images/{entry.image_id}{suffix}", next(iter(_BROWSERS))) for suffix in suffixes]


class Site:
    """A site that shows these images, the first ones most often."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._zipf = Zipf(len(entries), EXPONENT)

    def asked(self, browser: str, chance: random.Random) -> Asked:
        """The next request of a visitor with this `Accept`."""
        kind = _weighted(_KINDS, chance)
        return kind(self._entries[self._zipf.pick(chance)], browser, chance)
