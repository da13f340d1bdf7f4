"""Treating images that may be transparent. The functions run in renderer processes."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyvips


def premultiplied(image: "pyvips.Image", treat: "Callable[[pyvips.Image], pyvips.Image]") -> "pyvips.Image":
    """`treat` an image so that what is transparent does not bleed its colour into what is not."""
    if not image.hasalpha():
        return treat(image)
    return treat(image.premultiply()).unpremultiply().cast(image.format)


def aside(image: "pyvips.Image", treat: "Callable[[pyvips.Image], pyvips.Image]") -> "pyvips.Image":
    """`treat` the colours alone; alpha stays as it is."""
    if not image.hasalpha():
        return treat(image)
    colours = image.bands - 1
    return treat(image.extract_band(0, n=colours)).bandjoin(image.extract_band(colours))


def mixed(image: "pyvips.Image", matrix: list[list[float]]) -> "pyvips.Image":
    """Each colour a weighted sum of all of them, rounded; a row of `matrix` a band of the result."""
    import pyvips  # noqa: PLC0415  # in renderers only

    weights = pyvips.Image.new_from_list(matrix)
    return aside(image, lambda colours: (colours.recomb(weights) + 0.5).cast("uchar"))


def with_alpha(image: "pyvips.Image") -> "pyvips.Image":
    """The image with an alpha band; opaque where it had none."""
    return image if image.hasalpha() else image.addalpha()
