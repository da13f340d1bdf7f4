"""Decodes progressive JPEGs with Pillow: its libjpeg-turbo takes an eighth less time than libvips' mozjpeg.

The pixels are the same (docs/adr/0012). libvips decodes all other files, and reports what is wrong with broken ones.
"""

import warnings
from io import BytesIO
from mmap import mmap
from typing import BinaryIO, cast

from PIL import Image, JpegImagePlugin, MpoImagePlugin, TiffImagePlugin

from imaging.geometry import Size
from imaging.pixels.vips import pyvips

_PLUGINS = (JpegImagePlugin, MpoImagePlugin, TiffImagePlugin)
"""What Pillow would import when it first needs it: too late, since the sandbox opens no modules."""
Image.preinit()  # for the same reason
Image.MAX_IMAGE_PIXELS = None  # the header was checked against the limits before
warnings.filterwarnings("ignore", module=r"PIL\.")  # they are about metadata, which is not used
_FAILURES = (OSError, ValueError, SyntaxError, RuntimeError, MemoryError, OverflowError)
"""Pillow raises these for broken files."""
_INTERPRETATIONS = {"L": "b-w", "RGB": "srgb"}


def progressive_jpeg(file: BytesIO | mmap, size: Size, shrink: int) -> pyvips.Image | None:
    """Decode a JPEG of `size` into memory, `shrink` times smaller, to the same pixels as libvips.

    Returns None if it is neither sRGB nor grey, or cannot be decoded.
    """
    whole = Size(size.width // shrink, size.height // shrink)  # the decoder's last column and row may be incomplete
    if not whole.pixels:
        return None
    try:
        with Image.open(cast(BinaryIO, file), formats=("JPEG",)) as image:
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
