"""Processes images that may have transparent pixels. These functions run in worker processes."""

from collections.abc import Callable
from typing import Any

from imaging.types import Image

Process = Callable[[Image], Image]


def premultiplied(image: Image, process: Process) -> Image:
    """Apply `process` to premultiplied colours, so that transparent pixels do not bleed into their neighbours."""
    if not image.hasalpha():
        return process(image)
    return process(image.premultiply()).unpremultiply().cast(image.format)


def colours_only(image: Image, process: Process) -> Image:
    """Apply `process` to the colour bands and leave alpha unchanged."""
    if not image.hasalpha():
        return process(image)
    colours = image.bands - 1
    return process(image.extract_band(0, n=colours)).bandjoin(image.extract_band(colours))


def mix_colours(image: Image, matrix: list[list[float]]) -> Image:
    """Replace each colour band with a weighted sum of all of them, rounded.

    Each row of `matrix` holds the weights for one band of the result.
    """
    rows: Any = matrix  # pyvips turns it into an image
    return colours_only(image, lambda colours: (colours.recomb(rows) + 0.5).cast("uchar"))


def with_alpha(image: Image) -> Image:
    """The image with an alpha band: its own, or an opaque one."""
    return image if image.hasalpha() else image.addalpha()
