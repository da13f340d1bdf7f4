"""The boxes of a file in the ISO base media file format (ISO 14496-12), which AVIF and HEIF are in."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

_DEPTH = 8
_REFERENCES = {b"dimg", b"auxl"}
_PLAIN, _FULL = 0, 4
"""Bytes between the head of a container and its first box: a full box has a version and flags there."""
_CONTAINERS = {
    b"meta": _FULL, b"iprp": _PLAIN, b"ipco": _PLAIN, b"moov": _PLAIN, b"trak": _PLAIN, b"mdia": _PLAIN,
    b"minf": _PLAIN, b"stbl": _PLAIN, b"dinf": _PLAIN, b"edts": _PLAIN, b"iref": _FULL, b"grpl": _PLAIN,
    b"dref": _FULL + 4, b"stsd": _FULL + 4, b"av01": 78,
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


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties (ISO 23008-12, section 9.3) of the main image and, behind them, those of its first tile."""

    main: list[Box]
    auxiliary: list[Box]
    """Those of the images that belong to the main one, such as its alpha."""


def properties(data: mmap) -> Properties:
    """The properties of the main image and of what belongs to it. Raises struct.error for truncated tables."""
    found = list(boxes(data))
    by_name = {box.name: box for box in reversed(found)}
    if not {b"pitm", b"ipco", b"ipma"} <= by_name.keys():
        return Properties([], [])
    held = [box for box in found if by_name[b"ipco"].body <= box.body and box.end <= by_name[b"ipco"].end]
    listed = [box for box in held if box.name != b"ipco"]
    main = _item(data, by_name[b"pitm"].body)
    associated: dict[int, list[int]] = {}
    for box in found:  # there may be several, of different versions
        if box.name == b"ipma":
            associated = _associations(data, box) | associated

    def of(items: list[int]) -> list[Box]:
        numbers = [number for item in items for number in associated.get(item, ())]
        return [listed[number - 1] for number in numbers if 1 <= number <= len(listed)]

    references = [(box.name, *_reference(data, box, by_name[b"iref"])) for box in found if box.name in _REFERENCES]
    tiles = [target for name, source, target in references if name == b"dimg" and source == main]
    helpers = [source for name, source, target in references if name == b"auxl" and target == main]
    return Properties(of([main, *tiles]), of(helpers))


def _item(data: mmap, position: int) -> int:
    """An item ID after the version of its box."""
    return int(struct.unpack_from(">I" if data[position] else ">H", data, position + _FULL)[0])


def _associations(data: mmap, box: Box) -> dict[int, list[int]]:
    """The numbers of the properties of each item, from 1."""
    version, flags = data[box.body], data[box.body + 3]
    (count,) = struct.unpack_from(">I", data, box.body + _FULL)
    position = box.body + _FULL + 4
    associated: dict[int, list[int]] = {}
    for _ in range(count):
        if position >= box.end:
            break
        item, many = struct.unpack_from(">IB" if version else ">HB", data, position)
        position += 5 if version else 3
        wide = flags & 1
        numbers = struct.unpack_from(f">{many}{'H' if wide else 'B'}", data, position)
        position += many * (2 if wide else 1)
        associated[item] = [number & (0x7FFF if wide else 0x7F) for number in numbers]
    return associated


def _reference(data: mmap, box: Box, references: Box) -> tuple[int, int]:
    """The item that a reference is from, and the first one that it is to."""
    source, _, first = struct.unpack_from(">IHI" if data[references.body] else ">HHH", data, box.body)
    return source, first
