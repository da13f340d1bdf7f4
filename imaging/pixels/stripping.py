"""Copying an image file without its metadata, with its encoded pixels untouched."""

import struct
from mmap import ACCESS_READ, mmap
from pathlib import Path

from imaging.formats import Format
from imaging.header import Header
from imaging.pixels.colour import is_plain
from imaging.pixels.decoding import OpenFile

_PLAIN = {"srgb", "b-w"}


def strip(source: Path, header: Header, output: Path, frames: int) -> bool:
    """Copy `source` into the new file `output`. Returns False if it has to be encoded instead.

    It has to unless its pixels are 8-bit sRGB or grey. Decodes them all, so that a broken file raises pyvips.Error.
    """
    if header.image_format.strip is None:
        return False
    image = OpenFile(source, header).load(**({"n": -1} if frames > 1 else {}))
    if image.interpretation not in _PLAIN or image.format != "uchar" or not is_plain(image):
        return False
    image.avg()
    return copy_without_metadata(source, output, header.image_format)


def copy_without_metadata(source: Path, output: Path, fmt: Format) -> bool:
    """Copy `source`, which decodes without an error. Returns False, and the output is unusable, if that fails."""
    if fmt.strip is None:
        return False
    with source.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data, output.open("wb") as target:
        try:
            return fmt.strip(data, target)
        except (struct.error, IndexError):
            return False
