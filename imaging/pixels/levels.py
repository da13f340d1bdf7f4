"""Makes levels."""

from collections.abc import Mapping

from imaging.geometry import Size
from imaging.pixels import colour, decoding
from imaging.pixels.decoding import OpenFile
from imaging.pixels.vips import pyvips
from imaging.scaling import scale

_RGB = 3


def made(file: OpenFile, sizes: Mapping[int, Size]) -> dict[int, pyvips.Image]:
    """The pixels of levels, in memory, by side: sRGB or grey, 8 bits per band, without metadata, not turned.

    The largest is made from all pixels of the file, whatever its decoder could skip, and each of the others from it:
    pixels that are scaled more often lose more.
    """
    levels: dict[int, pyvips.Image] = {}
    largest = None
    for side, size in sorted(sizes.items(), reverse=True):
        image = _largest(file, size) if largest is None else scale(largest, size)
        levels[side] = image.copy_memory()
        largest = largest or levels[side]
    return levels


def _largest(file: OpenFile, size: Size) -> pyvips.Image:
    image = colour.normal(scale(decoding.whole(file), size), keep_profile=False)
    return colour.grey_without_profile(image) if image.bands < _RGB else image
