"""Makes levels."""

from collections.abc import Mapping

from imaging.geometry import Size
from imaging.pixels import colour, decoding
from imaging.pixels.decoding import OpenFile
from imaging.pixels.vips import pyvips
from imaging.scaling import scale, without_opaque_alpha

_RGB = 3


def made(file: OpenFile, sizes: Mapping[int, Size]) -> dict[int, pyvips.Image]:
    """The pixels of levels, in memory, by side: sRGB or grey, 8 bits per band, without metadata, not turned.

    They have no alpha if the image is opaque, even if it has that band.

    The largest is made from all pixels of the file, whatever its decoder could skip, and each of the others from it:
    pixels that are scaled more often lose more.
    """
    levels: dict[int, pyvips.Image] = {}
    largest = None
    for side, size in sorted(sizes.items(), reverse=True):
        if largest is None:
            levels[side] = largest = without_opaque_alpha(_largest(file, size).copy_memory())
        else:
            levels[side] = scale(largest, size).copy_memory()
    return levels


def _largest(file: OpenFile, size: Size) -> pyvips.Image:
    image = colour.normal(scale(decoding.whole(file), size), keep_profile=False)
    return colour.grey_without_profile(image) if image.bands < _RGB else image
