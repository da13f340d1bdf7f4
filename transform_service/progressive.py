"""Leaves out of a progressive JPEG the scans that a smaller result does not need. Pure, without libvips.

A progressive file (ISO 10918-1, annex G) brings the coefficients of each 8 x 8 block in scans: first the averages,
then ranges of finer detail, coarsely, then their last bits. Reading all of that is most of the work, and a decoder that
makes each side 8 times smaller uses the averages alone.
"""

import struct
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path

from transform_service import jpeg

_MOST_SEGMENTS, _MOST_SCANS = 1000, 20
"""libjpeg writes 10 scans, mozjpeg up to 12; a profile or EXIF of 16 MiB takes 256 segments."""
_AVERAGES_ONLY, _COARSELY = 8, 4
_USED = (1, 2, 4)
"""Coefficients, in zigzag order, that a decoder uses besides averages to make each side 4 times smaller."""
_SMALL_STEP = 3
"""The largest quantisation step of those whose last bits may be left out: what is lost is about as much."""


@dataclass(frozen=True, slots=True)
class _Scan:
    """What a scan brings (G.1.1.1)."""

    components: frozenset[int]
    first: int
    """Coefficient, in zigzag order; 0 is the average."""
    last_bit: bool
    """Whether it brings the last bit of coefficients that are known otherwise."""


def needed(path: Path, shrink: int) -> BytesIO | Path | None:
    """What a decoder needs of the file to make each side `shrink` times smaller; `path` where that is all of it.

    None where the file is not a whole progressive JPEG of the usual kind: of so many scans that decoding them would be
    an attack, which libvips refuses, or of so many segments.

    8 times smaller, a block becomes one pixel, its average: what is left out changes nothing (colour that is stored at
    half the size keeps all its scans). 4 times smaller, the last bits of all but the averages are left out where their
    steps are small. They are two thirds of a large photo's bytes; without them pixels differ by 1 of 255 (root mean
    square, tests/transform_service/test_progressive.py), of which nothing is seen: docs/adr/0013.
    """
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            found = list(islice(jpeg.segments(data), _MOST_SEGMENTS + 1))
            scans = sum(segment.marker == jpeg.SCAN for segment in found)
            if len(found) > _MOST_SEGMENTS or scans > _MOST_SCANS or not found or found[-1].marker != jpeg.END:
                return None
            kept = _kept(data, found, shrink)
            if len(kept) == len(found):
                return path
            return BytesIO(b"".join([data[:2], *(data[one.start : one.end] for one in kept)]))
    except (struct.error, IndexError, KeyError, ValueError):
        return None


def _kept(data: mmap, segments: list[jpeg.Segment], shrink: int) -> list[jpeg.Segment]:
    """Those that are needed."""
    if shrink < _COARSELY:
        return segments
    kept: list[jpeg.Segment] = []
    steps: dict[int, int] = {}
    idle: frozenset[int] = frozenset()
    known: set[int] = set()
    for segment in segments:
        if segment.marker == jpeg.QUANTISATION:
            steps |= _steps(data, segment)
        elif segment.marker == jpeg.PROGRESSIVE_FRAME:
            full_size = _full_size(data, segment)
            idle = frozenset(
                component
                for component, table in full_size.items()
                if shrink == _AVERAGES_ONLY or steps[table] <= _SMALL_STEP
            )
        elif segment.marker == jpeg.SCAN:
            scan = _scan(data, segment)
            if scan.first and scan.components <= idle & known and (scan.last_bit or shrink == _AVERAGES_ONLY):
                continue
            if scan.first == 1:  # stays: where a decoder knows of no detail at all, it makes up smoother averages
                known |= scan.components
        kept.append(segment)
    return kept


def _steps(data: mmap, segment: jpeg.Segment) -> dict[int, int]:
    """The largest step of the coefficients that are used, by table (B.2.4.1)."""
    found, position = {}, segment.body
    while position < segment.end:
        wide, table = data[position] >> 4, data[position] & 15
        layout = ">64H" if wide else ">64B"
        values = struct.unpack_from(layout, data, position + 1)
        found[table] = max(values[number] for number in _USED)
        position += 1 + struct.calcsize(layout)
    return found


def _full_size(data: mmap, frame: jpeg.Segment) -> dict[int, int]:
    """The components that are stored at the size of the image, and the tables of their steps (B.2.2)."""
    count = data[frame.body + 5]
    parts = [struct.unpack_from("BBB", data, frame.body + 6 + 3 * number) for number in range(count)]
    across, down = (max(sampling >> shift & 15 for _, sampling, _ in parts) for shift in (4, 0))
    return {component: table for component, sampling, table in parts if sampling == across << 4 | down}


def _scan(data: mmap, segment: jpeg.Segment) -> _Scan:
    count = data[segment.body]
    components = frozenset(data[segment.body + 1 + 2 * number] for number in range(count))
    first, _, bits = struct.unpack_from("BBB", data, segment.body + 1 + 2 * count)
    return _Scan(components, first, last_bit=bits >> 4 == 1)
