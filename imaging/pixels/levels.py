"""The pixels of levels."""

from collections.abc import Mapping

from imaging.alpha import premultiplied
from imaging.geometry import Part, Size
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


def scaled_part(level: pyvips.Image, part: Part, target: Size) -> pyvips.Image:
    """Scale a part of a level, which may begin and end between two pixels, to `target`."""
    return premultiplied(level, lambda pixels: _scaled_part(pixels, part, target))


def _scaled_part(image: pyvips.Image, part: Part, target: Size) -> pyvips.Image:
    left, top = part.left * image.width, part.top * image.height
    width, height = part.width * image.width, part.height * image.height
    whole = Size(max(1, round(width)), max(1, round(height)))
    # libvips' resize rounds the size, and shows the middle of what has too many pixels, or too few.
    across, down = (whole.width - width) / 2 - left, (whole.height - height) / 2 - top
    area = [0, 0, whole.width, whole.height]
    cubic = pyvips.Interpolate.new("bicubic")
    cut = image.affine([1, 0, 0, 1], odx=across, ody=down, oarea=area, interpolate=cubic, extend="copy")
    return cut.resize(target.width / width, vscale=target.height / height)


def _largest(file: OpenFile, size: Size) -> pyvips.Image:
    image = colour.normal(scale(decoding.whole(file), size), keep_profile=False)
    return colour.grey_without_profile(image) if image.bands < _RGB else image
