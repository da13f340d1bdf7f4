"""Makes levels."""

from collections.abc import Mapping

from imaging.geometry import Size
from imaging.pixels import colour, decoding
from imaging.pixels.decoding import OpenFile
from imaging.pixels.vips import pyvips
from imaging.scaling import scale_exactly

_RGB = 3


def made(file: OpenFile, sizes: Mapping[int, Size]) -> dict[int, pyvips.Image]:
    """The pixels of levels, in memory, by side: sRGB or grey, 8 bits per band, without metadata, not turned.

    The largest is made from all pixels of the file, whatever its decoder could skip, and the others from it. Each shows
    all of the image: results of different levels do not differ at their edges.
    """
    levels: dict[int, pyvips.Image] = {}
    image = None
    for side, size in sorted(sizes.items(), reverse=True):
        image = _largest(file, size) if image is None else scale_exactly(image, size)
        image = levels[side] = image.copy_memory()
    return levels


def _largest(file: OpenFile, size: Size) -> pyvips.Image:
    image = colour.normal(scale_exactly(decoding.whole(file), size), keep_profile=False)
    return colour.grey_without_profile(image) if image.bands < _RGB else image
