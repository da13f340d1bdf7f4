"""The boxes of a file in the ISO base media file format (ISO 14496-12), which AVIF and HEIF are in."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

_DEPTH = 8
_PLAIN, _FULL = 0, 4
"""Bytes between the head of a container and its first box: a full box has a version and flags there."""
_CONTAINERS = {
    b"meta": _FULL, b"iprp": _PLAIN, b"ipco": _PLAIN, b"moov": _PLAIN, b"trak": _PLAIN, b"mdia": _PLAIN,
    b"minf": _PLAIN, b"stbl": _PLAIN, b"dinf": _PLAIN, b"edts": _PLAIN, b"iref": _FULL, b"grpl": _PLAIN,
    b"dref": _FULL + 4, b"stsd": _FULL + 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type and the position of its contents."""

    name: bytes
    body: int
    end: int


def boxes(data: mmap) -> Iterator[Box]:
    """All boxes of a file, each container before what it contains. Ends at the first broken box."""
    return _inside(data, 0, len(data), _DEPTH)


def _inside(data: mmap, position: int, end: int, depth: int) -> Iterator[Box]:
    while position + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, position)
        body = position + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        box = Box(name, body, min(end, position + size) if size else end)
        if box.end < body:
            return
        yield box
        skipped = _skipped(data, box)
        if skipped is not None and depth:
            yield from _inside(data, body + skipped, box.end, depth - 1)
        position = box.end


def _skipped(data: mmap, box: Box) -> int | None:
    """The bytes before the first box inside a container; None for other boxes."""
    if box.name == b"iinf":
        return _FULL + (4 if data[box.body] else 2)
    return _CONTAINERS.get(box.name)
