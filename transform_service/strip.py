"""Copies an image file without its metadata and without touching its encoded pixels."""

import shutil
import struct
from collections.abc import Callable
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

from transform_service import jpeg

# Kept of JPEG's application segments are JFIF's and Adobe's: they say what colours mean.
_JPEG_COMMENT = 0xFE
_JPEG_APPLICATION = range(0xE0, 0xF0)
_JPEG_KEPT = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}

_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_PNG_SIGNATURE, _PNG_FRAME = 8, 12

# WebP (RFC 9649, 2.7): flags in the first byte of VP8X say which chunks follow.
_WEBP_METADATA = {b"EXIF", b"XMP ", b"ICCP"}
_WEBP_FLAGS = 0x20 | 0x08 | 0x04


def without_metadata(source: Path, output: Path, fmt: str) -> bool:
    """Copy `source` into the new file `output`; False, and nothing usable written, where that is not possible.

    The file must have been decoded without an error: its structure is taken for granted.
    """
    if fmt not in KEEPERS:
        return False
    with source.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data, output.open("wb") as target:
        try:
            return KEEPERS[fmt](data, target)
        except (struct.error, IndexError):
            return False


def _jpeg(data: mmap, target: BinaryIO) -> bool:
    target.write(data[:2])
    for segment in jpeg.segments(data):
        kept = _JPEG_KEPT.get(segment.marker)
        metadata = segment.marker == _JPEG_COMMENT or segment.marker in _JPEG_APPLICATION
        if not metadata or (kept and data[segment.body : segment.body + len(kept)] == kept):
            target.write(memoryview(data)[segment.start : segment.end])
        if segment.marker == jpeg.END:
            return True
    return False


def _png(data: mmap, target: BinaryIO) -> bool:
    target.write(data[:_PNG_SIGNATURE])
    position = _PNG_SIGNATURE
    while position < len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + _PNG_FRAME + length
        if name in _PNG_KEPT:
            target.write(memoryview(data)[position:end])
        if name == b"IEND":
            return True
        position = end
    return False


def _webp(data: mmap, target: BinaryIO) -> bool:
    target.write(data[:12])
    position, whole = 12, min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    while position + 8 <= whole:
        name, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length + length % 2
        chunk = bytearray(data[position : min(end, whole)]) if name == b"VP8X" else None
        if chunk:
            chunk[8] &= ~_WEBP_FLAGS & 0xFF
        if name not in _WEBP_METADATA:
            target.write(chunk or memoryview(data)[position : min(end, whole)])
        position = end
    size = target.tell()
    target.seek(4)
    target.write(struct.pack("<I", size - 8))
    return True


def _gif(data: mmap, target: BinaryIO) -> bool:
    shutil.copyfileobj(data, target)
    return True


KEEPERS: dict[str, Callable[[mmap, BinaryIO], bool]] = {"jpeg": _jpeg, "png": _png, "webp": _webp, "gif": _gif}
"""GIF has no metadata but comments."""
