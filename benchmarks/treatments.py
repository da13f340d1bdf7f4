"""What a chain does to a photo besides scaling it, for references: NumPy only."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Pixels = np.ndarray
"""Height x width x bands."""
Size = tuple[int, int]
"""Width and height."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done to a photo after it was scaled. Before, turns and mirrors would have the same effect."""

    scaled_size: Callable[[Size, Size], Size]
    """The size to which the whole photo is scaled, from its own size and that of the result."""
    apply: Callable[[Pixels, Size], Pixels]
    """The result, of this size, from the scaled photo."""


def size_of(pixels: Pixels) -> Size:
    """Width and height."""
    return pixels.shape[1], pixels.shape[0]


def _same_size(_: Size, result: Size) -> Size:
    return result


def _swapped_size(_: Size, result: Size) -> Size:
    return result[1], result[0]


def _covering_size(photo: Size, result: Size) -> Size:
    """The smallest size that covers the result. Sides are rounded half up, as libvips' thumbnail rounds them."""
    factor = max(after / before for before, after in zip(photo, result, strict=True))
    return math.floor(photo[0] * factor + 0.5), math.floor(photo[1] * factor + 0.5)


def _unchanged(pixels: Pixels, _: Size) -> Pixels:
    return pixels


def _turned_clockwise(pixels: Pixels, _: Size) -> Pixels:
    return np.rot90(pixels, -1)


def _upside_down(pixels: Pixels, _: Size) -> Pixels:
    return np.flipud(pixels)


def _centre(pixels: Pixels, result: Size) -> Pixels:
    """The middle. If the free space is odd, there is less of it at the left and at the top."""
    left, top = ((before - after) // 2 for before, after in zip(size_of(pixels), result, strict=True))
    return pixels[top : top + result[1], left : left + result[0]]


SCALED = Treatment(_same_size, _unchanged)
TURNED = Treatment(_swapped_size, _turned_clockwise)
"""`rotate=90`."""
FLIPPED = Treatment(_same_size, _upside_down)
"""`flip`."""
COVERING = Treatment(_covering_size, _centre)
"""`resize=WxH,cover`."""
