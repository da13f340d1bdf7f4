"""Processing images that may have transparent pixels. The functions run in worker processes."""

from collections.abc import Callable
from typing import Any

from imaging.types import Image

Process = Callable[[Image], Image]


def premultiplied(image: Image, process: Process) -> Image:
    """Apply `process` with premultiplied alpha, so that transparent pixels do not bleed their colour into others."""
    if not image.hasalpha():
        return process(image)
    return process(image.premultiply()).unpremultiply().cast(image.format)


def colours_only(image: Image, process: Process) -> Image:
    """Apply `process` to the colour bands; alpha stays as it is."""
    if not image.hasalpha():
        return process(image)
    colours = image.bands - 1
    return process(image.extract_band(0, n=colours)).bandjoin(image.extract_band(colours))


def mix_colours(image: Image, matrix: list[list[float]]) -> Image:
    """Make each colour a weighted sum of all colours, rounded; each row of `matrix` is one band of the result."""
    rows: Any = matrix  # pyvips makes an image of it
    return colours_only(image, lambda colours: (colours.recomb(rows) + 0.5).cast("uchar"))


def with_alpha(image: Image) -> Image:
    """The image with an alpha band, opaque if it had none."""
    return image if image.hasalpha() else image.addalpha()
