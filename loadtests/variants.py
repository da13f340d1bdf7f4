"""What a site asks of an image: URLs by their weight, each with what its answer must be."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtests.corpus import Entry
from loadtests.zipf import Zipf

_LADDER = {320: 14, 480: 16, 640: 18, 768: 14, 1024: 14, 1366: 10, 1600: 6, 1920: 8}
"""Widths of a srcset, weighted as screens ask for them: phones at 1.5 to 3 pixels a CSS pixel, then laptops."""
_SQUARES = {64: 20, 128: 30, 200: 30, 320: 20}
_THUMBS = {150: 40, 300: 60}
_ANY_WIDTH = (240, 1280)
"""Widths that a layout computes, as sites without a ladder do: hardly two the same, so hardly ever cached."""

_BROWSERS = {
    "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8": (70, "image/avif"),  # Chrome, Edge
    "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,image/svg+xml,"
    "image/*;q=0.8,*/*;q=0.5": (18, "image/avif"),  # Safari from 16.4
    "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5": (5, "image/avif"),  # Firefox
    "image/webp,image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5": (4, "image/webp"),  # Safari 14
    "image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5": (3, ""),  # older: the original's format
}
"""`Accept` of images: how many of a hundred visitors send it, and what they get of `.auto`."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a good answer is."""

    content_type: str
    width: int
    height: int
    mean: tuple[float, float, float] | None
    """Of its colours; None where it is not known beforehand."""
    bytes: int | None = None
    """Of an original."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a viewer."""

    kind: str
    path: str
    expected: Expected


def accept(chance: random.Random) -> str:
    """The `Accept` header of a browser."""
    return chance.choices(list(_BROWSERS), [share for share, _ in _BROWSERS.values()])[0]


def _weighted(sizes: dict[int, int], chance: random.Random) -> int:
    return chance.choices(list(sizes), list(sizes.values()))[0]


def _auto(entry: Entry, browser: str) -> str:
    return _BROWSERS[browser][1] or f"image/{entry.format}"


def _resized(kind: str, entry: Entry, browser: str, width: int) -> Asked:
    width = min(width, entry.width)
    expected = Expected(_auto(entry, browser), width, round(entry.height * width / entry.width), entry.mean)
    return Asked(kind, f"/v1/images/{entry.image_id}.auto?resize={width}x", expected)


def ladder(entry: Entry, browser: str, chance: random.Random) -> Asked:
    """One step of a srcset."""
    return _resized("ladder", entry, browser, _weighted(_LADDER, chance))


def any_width(entry: Entry, browser: str, chance: random.Random) -> Asked:
    """A width like no other."""
    return _resized("any width", entry, browser, chance.randint(*_ANY_WIDTH))


def square(entry: Entry, browser: str, chance: random.Random) -> Asked:
    """A square thumbnail, covered as lists and carts show them."""
    side = _weighted(_SQUARES, chance)
    expected = Expected(_auto(entry, browser), side, side, entry.square_mean)
    return Asked("square", f"/v1/images/{entry.image_id}.auto?resize={side}x{side},cover", expected)


def cropped(entry: Entry, browser: str, _chance: random.Random) -> Asked:
    """A square cut out of a thumbnail: what is cut off is unknown here, so the colour is."""
    expected = Expected(_auto(entry, browser), 120, 120, None)
    return Asked("square", f"/v1/images/{entry.image_id}.auto?thumb=360&crop=120x120,centre", expected)


def thumb(entry: Entry, _browser: str, chance: random.Random) -> Asked:
    """A thumbnail in WebP for every browser, as sites write that have one <img> only."""
    side = _weighted(_THUMBS, chance)
    share = min(1.0, side / max(entry.width, entry.height))
    expected = Expected("image/webp", round(entry.width * share), round(entry.height * share), entry.mean)
    return Asked("thumb", f"/v1/images/{entry.image_id}.webp?thumb={side}&compress=70", expected)


def original(entry: Entry, _browser: str, _chance: random.Random) -> Asked:
    """The file itself: a download, or a lightbox."""
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
    """Path and `Accept` of what most visitors ask of an image."""
    browser = next(iter(_BROWSERS))
    base = f"/v1/images/{entry.image_id}"
    chains = [
        *(f".auto?resize={side}x{side},cover" for side in _SQUARES),
        ".auto?thumb=360&crop=120x120,centre",
        *(f".auto?resize={min(width, entry.width)}x" for width in _LADDER),
    ]
    fixed = [f".webp?thumb={side}&compress=70" for side in _THUMBS]
    return [(base + chain, browser) for chain in (*fixed, *chains, "")]


class Site:
    """A site that shows these images, the first of them most."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._zipf = Zipf(len(entries))

    def asked(self, browser: str, chance: random.Random) -> Asked:
        """The next request of a visitor with this `Accept`."""
        kind = chance.choices(list(_KINDS), list(_KINDS.values()))[0]
        return kind(self._entries[self._zipf.pick(chance)], browser, chance)
