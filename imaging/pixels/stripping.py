"""Copies image files without their metadata, keeping the encoded pixels."""

import struct
from mmap import ACCESS_READ, mmap
from pathlib import Path

from imaging.formats import Format
from imaging.header import Header
from imaging.pixels.colour import is_plain
from imaging.pixels.decoding import OpenFile

_PLAIN = {"srgb", "b-w"}


def strip(source: Path, header: Header, output: Path, frames: int) -> bool:
    """Copy `source` to the new file `output`. Returns False if it has to be encoded again instead.

    Only 8-bit sRGB or grey pixels can stay encoded. All pixels are decoded first, so that a broken file raises
    pyvips.Error.
    """
    if header.image_format.strip is None:
        return False
    image = OpenFile(source, header).load(**({"n": -1} if frames > 1 else {}))
    if image.interpretation not in _PLAIN or image.format != "uchar" or not is_plain(image):
        return False
    image.avg()  # decodes all pixels
    return copy_without_metadata(source, output, header.image_format)


def copy_without_metadata(source: Path, output: Path, fmt: Format) -> bool:
    """Copy `source`, which must decode without errors. Returns False, and `output` is unusable, if that fails."""
    if fmt.strip is None:
        return False
    with source.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data, output.open("wb") as target:
        try:
            return fmt.strip(data, target)
        except (struct.error, IndexError):
            return False
