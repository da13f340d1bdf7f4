"""Decoding by Pillow, where its decoders are faster than those in libvips' package: AVIF and progressive JPEG.

Pillow brings dav1d, two to three times as fast as libaom, and a libjpeg-turbo that takes an eighth less time for
progressive files than mozjpeg; docs/adr/0012 has the figures. What it cannot or must not decode is left to libvips,
which also says what is wrong with a broken file.
"""

import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import AvifImagePlugin, Image

from service_kit.vips import pyvips
from transform_service.geometry import Size

Image.preinit()  # else the first image of each process waits for it
warnings.filterwarnings("ignore", module=r"PIL\.")  # of metadata that nobody reads
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # as many renderers as cores
Image.MAX_IMAGE_PIXELS = None  # limits were checked before, with the header
_FAILURES = (OSError, ValueError, SyntaxError, RuntimeError, MemoryError, OverflowError)
"""What Pillow raises for broken files."""
_ORIENTATION = 0x0112
_INTERPRETATIONS = {"L": "b-w", "RGB": "srgb", "RGBA": "srgb"}


def avif(path: Path, header: pyvips.Image) -> pyvips.Image | None:
    """The pixels of a still image in memory, with its profile; `header` is what libvips has read of it.

    None where it cannot be decoded, and where libvips' pixels would differ in more than the rounding of colours: more
    than 8 bits, parts that are cut off, turns of the file's own.
    """
    if header.format != "uchar":
        return None
    try:
        with Image.open(path, formats=("AVIF",)) as image:
            # Pillow tells of a file's own turns as an orientation, and leaves them to others.
            if image.size != (header.width, header.height) or image.getexif().get(_ORIENTATION, 1) != 1:
                return None
            return _in_memory(image)
    except _FAILURES:
        return None


def progressive_jpeg(file: Path | BinaryIO, size: Size, shrink: int) -> pyvips.Image | None:
    """The pixels of a JPEG of `size` in memory, made `shrink` times smaller by the decoder: the same as libvips'.

    None where it is neither sRGB nor grey, and where it cannot be decoded.
    """
    whole = Size(size.width // shrink, size.height // shrink)  # the decoder's last column and row may be part of one
    if not whole.pixels:
        return None
    try:
        with Image.open(file, formats=("JPEG",)) as image:
            image.draft(image.mode, (whole.width, whole.height))
            decoded = _in_memory(image)
    except _FAILURES:
        return None
    if decoded is None or (decoded.width, decoded.height) != (-(-size.width // shrink), -(-size.height // shrink)):
        return None
    return decoded.crop(0, 0, whole.width, whole.height)


def _in_memory(image: Image.Image) -> pyvips.Image | None:
    if image.mode not in _INTERPRETATIONS:
        return None
    profile = image.info.get("icc_profile")
    pixels = pyvips.Image.new_from_memory(image.tobytes(), *image.size, len(image.getbands()), "uchar")
    pixels = pixels.copy(interpretation=_INTERPRETATIONS[image.mode])
    if profile:
        pixels.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return pixels
