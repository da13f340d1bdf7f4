"""Gives a JPEG that has lost its end-of-image marker (ISO 10918-1, B.1.1.3) a new one.

Such a file may have lost no pixel. libjpeg tells: with the marker, it warns of pixels that are missing before it.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from mmap import mmap

from imaging import jpeg_segments as jpeg
from imaging import jpeg_zeros as zeros
from imaging.readable import Readable

_END = b"\xff\xd9"
_MOST_SEGMENTS = 4000
_SEQUENTIAL = {0xC0, 0xC1}
"""Huffman-coded. A decoder of arithmetic coding takes missing bytes for zeros, without a warning."""
_HOLE = 4096
"""A block of a disk. Without an end, nobody knows whether so many zeros were pixels."""
_BETWEEN_SCANS = {
    jpeg.HUFFMAN_TABLES, jpeg.QUANTISATION, jpeg.RESTART_INTERVAL, jpeg.SCAN, jpeg.LINES, jpeg.COMMENT,
    *jpeg.APPLICATION,
}  # fmt: skip
_MOST_COEFFICIENTS = 48 * 1024**2
"""A decoder of progressive files holds all of them, with two bytes each, and the upload has 128 MiB."""


def corrected(data: mmap) -> Readable:
    """The file with an end marker, if only that is missing. Padding and broken segments are left out."""
    if data[-2:] == _END:
        return Readable(data)
    found = list(islice(_whole_segments(data), _MOST_SEGMENTS + 1))
    if len(found) > _MOST_SEGMENTS or (found and found[-1].marker == jpeg.END):
        return Readable(data)
    while found and found[-1].marker != jpeg.SCAN:
        found.pop()
    start = next((each for each in found if each.marker in jpeg.FRAMES), None)
    if start is None or not _can_be_checked(frame := zeros.frame(data, start)):
        return Readable(data)
    return Readable(b"".join([memoryview(data)[: _end_of_scan(data, found, frame)], _END]), added=len(_END))


def _whole_segments(data: mmap) -> Iterator[jpeg.Segment]:
    """The segments up to the first that cannot be one: after a scan, only some kinds follow, and one upon the other."""
    scans, end = False, 0
    try:
        for segment in jpeg.segments(data):
            if segment.end > len(data):
                return
            between = data[end : segment.start].strip(b"\xff")
            if scans and segment.marker != jpeg.END and (between or segment.marker not in _BETWEEN_SCANS):
                return
            yield segment
            scans, end = scans or segment.marker == jpeg.SCAN, segment.end
    except struct.error:
        return


def _can_be_checked(frame: zeros.Frame) -> bool:
    if frame.marker == jpeg.PROGRESSIVE_FRAME:
        return frame.coefficients <= _MOST_COEFFICIENTS
    return frame.marker in _SEQUENTIAL


def _end_of_scan(data: mmap, found: list[jpeg.Segment], frame: zeros.Frame) -> int:
    """Where the last scan ends, without half of an end marker, and without zeros that can be no pixels.

    Zeros may be padding, but also a hole in place of pixels. If they stayed, a decoder would make pixels of them.
    """
    scan = found[-1]
    coded = data[scan.coded : scan.end].rstrip(b"\xff")
    whole = coded.rstrip(b"\0")
    run = len(coded) - len(whole)
    if run > 1:
        mean_pixels = frame.marker in _SEQUENTIAL and run < _HOLE
        flat = _most_flat(data, found, frame) if mean_pixels else 0
        escaped = whole.endswith(b"\xff")  # FF is followed by a zero
        return scan.coded + len(whole) + max(escaped, min(run, flat))
    return scan.coded + len(coded)


def _most_flat(data: mmap, found: list[jpeg.Segment], frame: zeros.Frame) -> int:
    """The most bytes of zeros that can be pixels of one colour in the last scan."""
    tables: zeros.Tables = {}
    for segment in found:
        if segment.marker == jpeg.HUFFMAN_TABLES:
            tables |= zeros.shortest_codes(data, segment)
    return -(-zeros.most_flat(zeros.components(data, found[-1]), tables, frame) // 8)
