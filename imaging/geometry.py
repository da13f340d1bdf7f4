"""Sizes, boxes and places, in whole pixels."""

import math
from dataclasses import dataclass
from typing import Self

PLACES = {
    "centre": (0.5, 0.5),
    "north": (0.5, 0.0),
    "northeast": (1.0, 0.0),
    "east": (1.0, 0.5),
    "southeast": (1.0, 1.0),
    "south": (0.5, 1.0),
    "southwest": (0.0, 1.0),
    "west": (0.0, 0.5),
    "northwest": (0.0, 0.0),
}
"""Where a smaller box lies in a larger one: the share of the free space to its left and above it."""


Point = tuple[float, float]
"""A place in an image: shares of its width and height, from its top left corner."""


def round_half_up(number: float) -> int:
    """The nearest whole number, halves up, as libvips rounds. Python's `round` rounds halves to even."""
    return math.floor(number + 0.5)


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height of one frame, in pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def longer(self) -> int:
        """The longer side."""
        return max(self.width, self.height)

    def swapped(self) -> Self:
        """The size after a quarter turn."""
        return type(self)(self.height, self.width)

    def scaled(self, scale: float) -> Self:
        """Both sides times `scale`, at least one pixel each."""
        return type(self)(max(1, round_half_up(self.width * scale)), max(1, round_half_up(self.height * scale)))

    def shrunk(self, shrink: float) -> Self:
        """Both sides divided by `shrink`, rounded as libvips rounds a thumbnail's size."""
        return type(self)(max(1, round_half_up(self.width / shrink)), max(1, round_half_up(self.height / shrink)))

    def contains(self, other: "Size") -> bool:
        """Whether `other` fits inside this size."""
        return other.width <= self.width and other.height <= self.height

    def clipped(self, other: "Size") -> Self:
        """The size with each side limited to that of `other`."""
        return type(self)(min(self.width, other.width), min(self.height, other.height))

    def __str__(self) -> str:
        return f"{self.width} x {self.height}"


@dataclass(frozen=True, slots=True)
class Box:
    """A width and a height to fit something into; one of them may be open (None)."""

    width: int | None
    height: int | None

    def shrinks(self, size: Size) -> list[float]:
        """For each side that is given, how many times longer the same side of `size` is."""
        return [
            before / after
            for before, after in ((size.width, self.width), (size.height, self.height))
            if after is not None
        ]

    def closed(self, size: Size) -> Size:
        """The box as a size; an open side becomes that of `size`."""
        return Size(self.width or size.width, self.height or size.height)

    @classmethod
    def of(cls, size: Size) -> Self:
        """The box of exactly this size."""
        return cls(size.width, size.height)

    def __str__(self) -> str:
        return f"{self.width or ''}x{self.height or ''}"


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of an image, as shares of its width and height."""

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def at(cls, left: int, top: int, size: Size, of: Size) -> Self:
        """The part of an image of size `of` that begins at a pixel and has a size."""
        return cls(left / of.width, top / of.height, size.width / of.width, size.height / of.height)


@dataclass(frozen=True, slots=True)
class Frame:
    """What is known about a frame at some point of a chain, before any pixel is computed."""

    size: Size
    alpha: bool = False
    """Whether pixels may be transparent."""
    exact: bool = True
    """False if the size depends on the pixels; then `size` is an upper bound."""


def offset(place: str, inner: Size, outer: Size) -> tuple[int, int]:
    """The left and top of `inner` inside `outer`, rounded down. `place` is a key of PLACES."""
    left, top = PLACES[place]
    return math.floor((outer.width - inner.width) * left), math.floor((outer.height - inner.height) * top)
