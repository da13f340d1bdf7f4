"""Copies an image file without its metadata and without touching its encoded pixels."""

import re
import shutil
import struct
from collections.abc import Callable, Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

# JPEG (ISO 10918-1, annex B). Kept of the application segments are JFIF's and Adobe's: they say what colours mean.
_JPEG_COMMENT, _JPEG_END, _JPEG_SCAN = 0xFE, 0xD9, 0xDA
_JPEG_APPLICATION = range(0xE0, 0xF0)
_JPEG_KEPT = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}
_JPEG_MARKER = re.compile(rb"\xff+([^\xff\x00\xd0-\xd7])")
"""The next one behind entropy-coded data, in which an FF is followed by 00 or is a restart."""

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
    for marker, start, end in _jpeg_segments(data):
        kept = _JPEG_KEPT.get(marker)
        metadata = marker == _JPEG_COMMENT or marker in _JPEG_APPLICATION
        if not metadata or (kept and data[start + 4 : start + 4 + len(kept)] == kept):
            target.write(memoryview(data)[start:end])
        if marker == _JPEG_END:
            return True
    return False


def _jpeg_segments(data: mmap) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment; that of a scan ends where its entropy-coded data does."""
    position = 2
    while position < len(data):
        found = _JPEG_MARKER.match(data, position)
        if not found:
            return
        start, marker = found.end() - 2, found[1][0]
        if marker == _JPEG_END:
            yield marker, start, start + 2
            return
        position = start + 2 + struct.unpack_from(">H", data, start + 2)[0]
        if marker == _JPEG_SCAN:
            following = _JPEG_MARKER.search(data, position)
            if not following:
                return
            position = following.start()
        yield marker, start, position


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
