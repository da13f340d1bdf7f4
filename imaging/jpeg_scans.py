"""Leaves out the scans of a progressive JPEG that a smaller result does not need.

A progressive file (ISO 10918-1, annex G) stores the coefficients of each 8 x 8 block in scans: first the averages,
then coarse values of finer detail, then their last bits. Reading all of that is most of the work, but a decoder that
makes each side 8 times smaller uses only the averages.
"""

import struct
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from mmap import mmap

from imaging import jpeg_segments as jpeg

_MOST_SEGMENTS, _MOST_SCANS = 1000, 20
"""libjpeg writes 10 scans, mozjpeg up to 12; a profile or EXIF of 16 MiB takes 256 segments."""
_AVERAGES_ONLY, _COARSELY = 8, 4
_USED = (1, 2, 4)
"""Coefficients, in zigzag order, that a decoder needs in addition to the averages to make each side 4 times smaller."""
_SMALL_STEP = 3
"""The largest quantisation step at which last bits are left out. The error is about one step."""


@dataclass(frozen=True, slots=True)
class _Scan:
    """The contents of a scan (G.1.1.1)."""

    components: frozenset[int]
    first: int
    """Coefficient, in zigzag order; 0 is the average."""
    last_bit: bool
    """Whether it adds the last bit to coefficients from earlier scans."""


def needed(data: bytes | mmap, shrink: int) -> BytesIO | bytes | mmap | None:
    """The part of a file that a decoder needs to make each side `shrink` times smaller; `data` if it needs all of it.

    Returns None unless the file is a complete progressive JPEG of the usual kind, so also for more segments or scans
    than encoders write. libvips refuses such attacks.

    At an eighth of the size, a block becomes one pixel, its average, so leaving out the rest changes nothing. Colour
    that is stored at half the size keeps all its scans. At a quarter, the last bits of all coefficients but the
    averages are left out if their quantisation steps are small. Those bits are two thirds of a large photo's bytes.
    Without them, pixels differ by 1 of 255 (root mean square, tests/imaging/test_jpeg_scans.py), which is invisible
    (docs/adr/0013).
    """
    try:
        found = list(islice(jpeg.segments(data), _MOST_SEGMENTS + 1))
        scans = sum(segment.marker == jpeg.SCAN for segment in found)
        if len(found) > _MOST_SEGMENTS or scans > _MOST_SCANS or not found or found[-1].marker != jpeg.END:
            return None
        kept = _kept(data, found, shrink)
        if len(kept) == len(found):
            return data
        return BytesIO(b"".join([data[:2], *(data[one.start : one.end] for one in kept)]))
    except (struct.error, IndexError, KeyError, ValueError):
        return None


def _kept(data: bytes | mmap, segments: list[jpeg.Segment], shrink: int) -> list[jpeg.Segment]:
    """The segments that a decoder needs."""
    if shrink < _COARSELY:
        return segments
    kept: list[jpeg.Segment] = []
    steps: dict[int, int] = {}
    reducible: frozenset[int] = frozenset()
    """Components whose later scans may be left out."""
    seen: set[int] = set()
    """Components whose first detail has been kept."""
    for segment in segments:
        if segment.marker == jpeg.QUANTISATION:
            steps |= _steps(data, segment)
        elif segment.marker == jpeg.PROGRESSIVE_FRAME:
            full_size = _full_size(data, segment)
            reducible = frozenset(
                component
                for component, table in full_size.items()
                if shrink == _AVERAGES_ONLY or steps[table] <= _SMALL_STEP
            )
        elif segment.marker == jpeg.SCAN:
            scan = _scan(data, segment)
            if scan.first and scan.components <= reducible & seen and (scan.last_bit or shrink == _AVERAGES_ONLY):
                continue
            if scan.first == 1:  # stays: without any detail, a decoder smooths the averages
                seen |= scan.components
        kept.append(segment)
    return kept


def _steps(data: bytes | mmap, segment: jpeg.Segment) -> dict[int, int]:
    """The largest step of the coefficients in _USED, by table (B.2.4.1)."""
    found, position = {}, segment.body
    while position < segment.end:
        wide, table = data[position] >> 4, data[position] & 15
        layout = ">64H" if wide else ">64B"
        values = struct.unpack_from(layout, data, position + 1)
        found[table] = max(values[number] for number in _USED)
        position += 1 + struct.calcsize(layout)
    return found


def _full_size(data: bytes | mmap, frame: jpeg.Segment) -> dict[int, int]:
    """The components that are stored at full size, with the tables of their steps (B.2.2)."""
    count = data[frame.body + 5]
    parts = [struct.unpack_from("BBB", data, frame.body + 6 + 3 * number) for number in range(count)]
    across, down = (max(sampling >> shift & 15 for _, sampling, _ in parts) for shift in (4, 0))
    return {component: table for component, sampling, table in parts if sampling == across << 4 | down}


def _scan(data: bytes | mmap, segment: jpeg.Segment) -> _Scan:
    count = data[segment.body]
    components = frozenset(data[segment.body + 1 + 2 * number] for number in range(count))
    first, _, bits = struct.unpack_from("BBB", data, segment.body + 1 + 2 * count)
    return _Scan(components, first, last_bit=bits >> 4 == 1)
