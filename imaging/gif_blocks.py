"""The blocks of a GIF file (GIF89a, appendix A)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import NamedTuple

from service_kit.errors import UnprocessableImage

EXTENSION, IMAGE, TRAILER = b"!,;"
CONTROL = 0xF9
"""The extension with the delay, the disposal and the transparent colour of the next frame."""
_MOST_BLOCKS, _MOST_PARTS = 100_000, 1_000_000
"""A part of a block holds up to 255 bytes, so a full-size GIF of 64 MiB has about 264,000."""
_HEAD = 13
_MOST_PADDING = 64
"""Zeros before the trailer: too many terminators. More would be a hole."""


class Block(NamedTuple):
    """An extension or a frame. A tuple, since a hostile file has a million."""

    introducer: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Place:
    """An area of the canvas, in pixels."""

    left: int
    top: int
    right: int
    bottom: int

    def covers(self, other: "Place") -> bool:
        """Whether `other` is inside."""
        across = self.left <= other.left and other.right <= self.right
        return across and self.top <= other.top and other.bottom <= self.bottom


def blocks(data: bytes | mmap) -> Iterator[Block]:
    """All blocks up to the trailer, or to the end of the file.

    Raises IndexError if the file ends within a block, and UnprocessableImage if anything else is between blocks, or if
    there are far too many.
    """
    left, parts = _MOST_BLOCKS, _MOST_PARTS
    position = _HEAD + colour_table_bytes(data[10])
    while position < len(data) and data[position] != TRAILER:
        start, introducer = position, data[position]
        if introducer == IMAGE:
            position += 11 + colour_table_bytes(data[position + 9])
        elif introducer == EXTENSION:
            position += 2
        elif data[position : position + _MOST_PADDING].lstrip(b"\0")[:1] == bytes([TRAILER]):
            return
        else:
            raise UnprocessableImage("the image is corrupt or truncated: it has no end")
        left -= 1
        while parts >= 0 and (length := data[position]):
            position += length + 1
            parts -= 1
        if min(left, parts) < 0:
            raise UnprocessableImage("the image consists of far too many blocks; save it again with another program")
        position += 1
        yield Block(introducer, start, position)


def colour_table_bytes(flags: int) -> int:
    """The size of the colour table after a descriptor with these flags (GIF89a, sections 18 and 20)."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def place(data: bytes | mmap, frame: Block) -> Place:
    """Where a frame is."""
    left, top, width, height = struct.unpack_from("<4H", data, frame.start + 1)
    return Place(left, top, left + width, top + height)


def canvas(data: bytes | mmap, first: Place) -> Place:
    """The area of the animation: the screen and its first frame, as in browsers. Other frames are clipped to it."""
    width, height = struct.unpack_from("<HH", data, 6)
    return Place(0, 0, max(width, first.right), max(height, first.bottom))
