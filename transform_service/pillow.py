"""Decoding by Pillow: progressive JPEG, for which its libjpeg-turbo takes an eighth less time than libvips' mozjpeg.

The pixels are the same (docs/adr/0012). What it cannot or must not decode is left to libvips, which also says what is
wrong with a broken file.
"""

import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from service_kit.vips import pyvips
from transform_service.geometry import Size

Image.preinit()  # else the first image of each process waits for it
Image.MAX_IMAGE_PIXELS = None  # limits were checked before, with the header
warnings.filterwarnings("ignore", module=r"PIL\.")  # of metadata that nobody reads
_FAILURES = (OSError, ValueError, SyntaxError, RuntimeError, MemoryError, OverflowError)
"""What Pillow raises for broken files."""
_INTERPRETATIONS = {"L": "b-w", "RGB": "srgb"}


def progressive_jpeg(file: Path | BinaryIO, size: Size, shrink: int) -> pyvips.Image | None:
    """The pixels of a JPEG of `size` in memory, made `shrink` times smaller by the decoder: the same as libvips'.

    None where it is neither sRGB nor grey, and where it cannot be decoded.
    """
    whole = Size(size.width // shrink, size.height // shrink)  # the decoder's last column and row may be part of one
    if not whole.pixels:
        return None
    try:
        with Image.open(file, formats=("JPEG",)) as image:
            if image.size != (size.width, size.height) or image.mode not in _INTERPRETATIONS:
                return None
            image.draft(image.mode, (whole.width, whole.height))
            if image.size != (-(-size.width // shrink), -(-size.height // shrink)):
                return None
            pixels = pyvips.Image.new_from_memory(image.tobytes(), *image.size, len(image.getbands()), "uchar")
            interpretation, profile = _INTERPRETATIONS[image.mode], image.info.get("icc_profile")
    except _FAILURES:
        return None
    decoded = pixels.crop(0, 0, whole.width, whole.height).copy(interpretation=interpretation)
    if profile:
        decoded.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return decoded
