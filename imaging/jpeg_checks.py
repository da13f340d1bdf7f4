"""Checks the structure of a JPEG file (ISO 10918-1, annex B): its size, its segments, and whether all of it is there.

libjpeg takes a file whose end was replaced by zeros, or that ends too early, for an image with grey areas. It warns,
but not always.
"""

import re
import struct
from dataclasses import dataclass, field
from mmap import mmap

from imaging import jpeg_segments as jpeg
from imaging import jpeg_zeros as zeros
from imaging.limits import InputLimits
from service_kit.errors import UnprocessableImage

_MOST_SEGMENTS, _MOST_SCANS = 4000, 64
"""64 MiB of profile, EXIF and XMP take 1,024 segments. A file with a scan for each bit of each colour has about 30
scans. A decoder visits the whole image in each."""
_SEQUENTIAL = {0xC0, 0xC1}
_COPIES = 3
"""libjpeg keeps a segment, libvips joins them and copies the result into the image."""
_COEFFICIENTS = 64
_BITS = 8
"""Per sample. libjpeg refuses others only when it decodes."""
_NOT_ZERO = re.compile(rb"[^\0]")
_HOLE = bytes(4096)
"""A block of a disk. Encoders write no such run, except for a large area of one colour (jpeg_zeros.py)."""
_TRUNCATED = "the image is corrupt or truncated"


@dataclass(slots=True)
class _Seen:
    """What the segments so far contain."""

    frame: zeros.Frame | None = None
    scans: int = 0
    metadata: int = 0
    tables: zeros.Tables = field(default_factory=dict)
    left: dict[int, list[int]] = field(default_factory=dict)
    """The bits of each coefficient that are still to come, by component."""


def check(data: bytes | mmap, limits: InputLimits) -> int:
    """Raise UnprocessableImage for a file that is too large, too odd or damaged. Returns the bytes of kept metadata."""
    seen, last = _Seen(), 0
    try:
        for number, segment in enumerate(jpeg.segments(data)):
            if number == _MOST_SEGMENTS:
                raise UnprocessableImage(
                    f"the image has more than {_MOST_SEGMENTS} segments; save it again with another program"
                )
            if segment.marker == jpeg.START and seen.scans:
                break  # another image follows
            _see(data, segment, seen, limits)
            last = segment.marker
    except struct.error:  # within the head of a segment
        last = 0
    if seen.frame is None:
        return 0  # libjpeg says what is missing
    if last != jpeg.END:
        raise UnprocessableImage(f"{_TRUNCATED}: it has no end")
    if any(any(bits) for bits in seen.left.values()):
        raise UnprocessableImage(f"{_TRUNCATED}: it ends before all scans are complete")
    return _COPIES * seen.metadata


def _see(data: bytes | mmap, segment: jpeg.Segment, seen: _Seen, limits: InputLimits) -> None:
    if segment.marker in jpeg.FRAMES and seen.frame is None:
        seen.frame = zeros.frame(data, segment)
        if (bits := data[segment.body]) != _BITS:
            raise UnprocessableImage(f"the image has {bits} bits per sample; save it with {_BITS}")
        limits.check_size(seen.frame.width, seen.frame.height)
        limits.check_bands(len(seen.frame.samplings))
        seen.left = {component: [1] * _COEFFICIENTS for component in seen.frame.samplings}
    elif segment.marker == jpeg.HUFFMAN_TABLES:
        seen.tables |= zeros.shortest_codes(data, segment)
    elif segment.marker == jpeg.COMMENT or segment.marker in jpeg.APPLICATION:
        seen.metadata += segment.end - segment.start
        limits.check_metadata(seen.metadata)
    elif segment.marker == jpeg.SCAN and seen.frame:
        seen.scans += 1
        if seen.scans > _MOST_SCANS:
            raise UnprocessableImage(f"the image has more than {_MOST_SCANS} scans; save it again with another program")
        _see_scan(data, segment, seen, seen.frame)


def _see_scan(data: bytes | mmap, segment: jpeg.Segment, seen: _Seen, frame: zeros.Frame) -> None:
    count = data[segment.body]
    parts = zeros.components(data, segment)
    first, last, bits = struct.unpack_from("BBB", data, segment.body + 1 + 2 * count)
    progressive = frame.marker == jpeg.PROGRESSIVE_FRAME
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
        found = _NOT_ZERO.search(data, start)
        run = 8 * ((found.start() if found else len(data)) - start)
        hole = frame.marker in _SEQUENTIAL and run > zeros.most_flat(parts, seen.tables, frame)
    if hole:
        raise UnprocessableImage(f"{_TRUNCATED}: a part of it consists of zeros")
