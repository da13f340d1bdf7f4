"""Processes images that may have transparent pixels. These functions run in worker processes."""

from collections.abc import Callable
from typing import Any

from imaging.types import Image

Process = Callable[[Image], Image]
_OPAQUE = 255
_LEAST = 0.01
"""The share of its peak at which a Gaussian ends: far enough out for any filter of the same standard deviation."""


def premultiplied(image: Image, process: Process) -> Image:
    """Apply `process` to premultiplied colours, so that transparent pixels do not bleed into their neighbours."""
    if not image.hasalpha():
        return process(image)
    return rounded(process(image.premultiply()).unpremultiply(), image)


def rounded(image: Image, like: Image) -> Image:
    """An image of positive floating-point numbers with the samples of another one. A cast alone would truncate."""
    return image if like.format == "float" else (image + 0.5).cast(like.format)


def filled(image: Image, sigma: float) -> Image:
    """The colours, with those of transparent pixels replaced by the mean of what is seen near them.

    A filter of the same standard deviation, in pixels, then sees no hidden colours. Alpha stays.
    """
    near = image.premultiply().gaussblur(sigma, min_ampl=_LEAST, precision="float").unpremultiply()
    colours, alpha = image.bands - 1, image.extract_band(image.bands - 1) / _OPAQUE
    seen = image.extract_band(0, n=colours) * alpha + near.extract_band(0, n=colours) * (1 - alpha)
    return rounded(seen, image).bandjoin(image.extract_band(colours)).copy(interpretation=image.interpretation)


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


def as_8_bits(alpha: Image) -> Image:
    """A band with 8 or 16 bits as one with 8, rounded."""
    return (alpha / 257).rint().cast("uchar") if alpha.format == "ushort" else alpha
