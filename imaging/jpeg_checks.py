"""Checks the structure of a JPEG file (ISO 10918-1, annex B): its size, its segments, and whether all of it is there.

libjpeg takes a file whose end was replaced by zeros, or that ends too early, for an image with grey areas. It warns,
but not always.
"""

import re
import struct
from dataclasses import dataclass, field
from mmap import mmap

from imaging import jpeg_segments as jpeg
from imaging.limits import InputLimits
from service_kit.errors import UnprocessableImage

_MOST_SEGMENTS, _MOST_SCANS = 4000, 64
"""64 MiB of profile, EXIF and XMP take 1,024 segments. A file with a scan for each bit of each colour has about 30
scans. A decoder visits the whole image in each."""
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_HUFFMAN_TABLES, _COMMENT = 0xC4, 0xFE
_SEQUENTIAL, _PROGRESSIVE = {0xC0, 0xC1}, 0xC2
_APPLICATION = range(0xE0, 0xF0)
_COPIES = 3
"""libjpeg keeps a segment, libvips joins them and copies the result into the image."""
_COEFFICIENTS = 64
_NOT_ZERO = re.compile(rb"[^\0]")
_HOLE = bytes(4096)
"""A block of a disk. Encoders write no such run, except for a large area of one colour (_flat)."""
_TRUNCATED = "the image is corrupt or truncated"


@dataclass(slots=True)
class _Frame:
    """The contents of a start-of-frame segment (B.2.2)."""

    marker: int
    width: int
    height: int
    samplings: dict[int, tuple[int, int]]
    """Across and down, by component."""

    @property
    def mcus(self) -> int:
        """The number of minimum coded units, if all components are in one scan (A.2.4)."""
        across = 8 * max(h for h, _ in self.samplings.values())
        down = 8 * max(v for _, v in self.samplings.values())
        return -(-self.width // across) * -(-self.height // down)


@dataclass(slots=True)
class _Seen:
    """What the segments so far contain."""

    frame: _Frame | None = None
    scans: int = 0
    metadata: int = 0
    tables: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The bits of the code that consists of zeros, and its symbol, by class and number of a Huffman table."""
    left: dict[int, list[int]] = field(default_factory=dict)
    """The bits of each coefficient that are still to come, by component."""


def check(data: mmap, limits: InputLimits) -> int:
    """Raise UnprocessableImage for a file that is too large, too odd or damaged. Returns the bytes of kept metadata."""
    seen, last = _Seen(), 0
    for number, segment in enumerate(jpeg.segments(data)):
        if number == _MOST_SEGMENTS:
            raise UnprocessableImage(
                f"the image has more than {_MOST_SEGMENTS} segments; save it again with another program"
            )
        _see(data, segment, seen, limits)
        last = segment.marker
    if seen.frame is None:
        return 0  # libjpeg says what is missing
    if last != jpeg.END:
        raise UnprocessableImage(f"{_TRUNCATED}: it has no end")
    if any(any(bits) for bits in seen.left.values()):
        raise UnprocessableImage(f"{_TRUNCATED}: it ends before all scans are complete")
    return _COPIES * seen.metadata


def _see(data: mmap, segment: jpeg.Segment, seen: _Seen, limits: InputLimits) -> None:
    if segment.marker in _FRAMES and seen.frame is None:
        seen.frame = _frame(data, segment)
        limits.check_size(seen.frame.width, seen.frame.height)
        limits.check_bands(len(seen.frame.samplings))
        seen.left = {component: [1] * _COEFFICIENTS for component in seen.frame.samplings}
    elif segment.marker == _HUFFMAN_TABLES:
        seen.tables |= _shortest_codes(data, segment)
    elif segment.marker == _COMMENT or segment.marker in _APPLICATION:
        seen.metadata += segment.end - segment.start
        limits.check_metadata(seen.metadata)
    elif segment.marker == jpeg.SCAN and seen.frame:
        seen.scans += 1
        if seen.scans > _MOST_SCANS:
            raise UnprocessableImage(f"the image has more than {_MOST_SCANS} scans; save it again with another program")
        _see_scan(data, segment, seen, seen.frame)


def _see_scan(data: mmap, segment: jpeg.Segment, seen: _Seen, frame: _Frame) -> None:
    count = data[segment.body]
    parts = [struct.unpack_from("BB", data, segment.body + 1 + 2 * number) for number in range(count)]
    first, last, bits = struct.unpack_from("BBB", data, segment.body + 1 + 2 * count)
    progressive = frame.marker == _PROGRESSIVE
    for component, _ in parts:
        if component in seen.left:
            coefficients = range(first, min(last, _COEFFICIENTS - 1) + 1) if progressive else range(_COEFFICIENTS)
            for place in coefficients:
                seen.left[component][place] = bits & 15 if progressive else 0
    start = data.find(_HOLE, segment.coded, segment.end)
    if start < 0:
        return
    if progressive:
        hole = first > 0 and bits >> 4 == 0  # a single code skips thousands of blocks without detail
    else:
        hole = frame.marker in _SEQUENTIAL and not _flat(data, start, parts, seen, frame)
    if hole:
        raise UnprocessableImage(f"{_TRUNCATED}: a part of it consists of zeros")


def _flat(data: mmap, start: int, parts: list[tuple[int, int]], seen: _Seen, frame: _Frame) -> bool:
    """Whether the zeros from `start` can be an area of one colour: no change of the average, no detail, block by block.

    That is so if the code for both consists of zeros, and if the zeros are no more than the whole image needs.
    """
    found = _NOT_ZERO.search(data, start)
    zeros = 8 * ((found.start() if found else len(data)) - start)
    needed = 0
    for component, table in parts:
        across, down = frame.samplings[component] if len(parts) > 1 else (1, 1)
        (average_bits, average), (detail_bits, detail) = seen.tables[table >> 4], seen.tables[0x10 | table & 15]
        if average or detail:
            return False
        needed += across * down * (average_bits + detail_bits)
    blocks = frame.mcus if len(parts) > 1 else -(-frame.width // 8) * -(-frame.height // 8)
    return zeros <= needed * blocks


def _frame(data: mmap, segment: jpeg.Segment) -> _Frame:
    height, width, count = struct.unpack_from(">HHB", data, segment.body + 1)
    parts = [struct.unpack_from("BB", data, segment.body + 6 + 3 * number) for number in range(count)]
    samplings = {component: (sampling >> 4 or 1, sampling & 15 or 1) for component, sampling in parts}
    return _Frame(segment.marker, width, height, samplings)


def _shortest_codes(data: mmap, segment: jpeg.Segment) -> dict[int, tuple[int, int]]:
    """The code of zeros in each Huffman table: the first of its shortest (B.2.4.2, C.2)."""
    found, position = {}, segment.body
    while position < segment.end:
        counts = data[position + 1 : position + 17]
        bits = next((length for length, count in enumerate(counts, 1) if count), 0)
        found[data[position]] = (bits, data[position + 17])
        position += 17 + sum(counts)
    return found
