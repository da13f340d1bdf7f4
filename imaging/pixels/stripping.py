"""Copies image files without their metadata, keeping the encoded pixels."""

import struct
from mmap import mmap
from typing import BinaryIO

from imaging.formats import Format
from imaging.header import Header
from imaging.pixels.colour import is_plain
from imaging.pixels.decoding import OpenFile

_PLAIN = {"srgb", "b-w"}


def strip(data: mmap, header: Header, output: BinaryIO, frames: int) -> bool:
    """Copy an image to the new, open file `output`. Returns False if it has to be encoded again instead.

    Only 8-bit sRGB or grey pixels can stay encoded, as what says otherwise is lost. All pixels are decoded first, so
    that a broken file raises pyvips.Error.
    """
    if header.image_format.strip is None:
        return False
    colours = header.image_format.reader.colours(data)
    if colours and not colours.is_srgb:
        return False
    file = OpenFile(data, header)
    image = file.load_as_stored(**({"n": -1} if frames > 1 else {}))
    if image.interpretation not in _PLAIN or image.format != "uchar" or not is_plain(image):
        return False
    image.avg()  # decodes all pixels
    if file.has_filling():
        return False  # it may be anything
    return copy_without_metadata(data, output, header.image_format)


def copy_without_metadata(data: mmap, output: BinaryIO, fmt: Format) -> bool:
    """Copy an image, which must decode without errors. Returns False, with `output` empty, if that fails."""
    if fmt.strip is None:
        return False
    try:
        if fmt.strip(data, output):
            return True
    except (struct.error, IndexError):
        pass
    output.seek(0)
    output.truncate()
    return False
