"""Sizes of images, in whole pixels."""

import math
from dataclasses import dataclass
from typing import Self


def round_half_up(number: float) -> int:
    """The nearest whole number, halves up: as libvips rounds, and Python's `round` does not."""
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

    def within(self, side: int) -> Self:
        """The largest size of the same shape inside a square of `side` pixels; never larger than this one."""
        shrink = max(1.0, self.width / side, self.height / side)
        return type(self)(max(1, round_half_up(self.width / shrink)), max(1, round_half_up(self.height / shrink)))

    def __str__(self) -> str:
        return f"{self.width} x {self.height}"
