"""The segments of a JPEG file (ISO 10918-1, annex B), as libjpeg finds them."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

START, END, SCAN, QUANTISATION, PROGRESSIVE_FRAME = 0xD8, 0xD9, 0xDA, 0xDB, 0xC2
HUFFMAN_TABLES, ARITHMETIC_CODING, RESTART_INTERVAL = 0xC4, 0xCC, 0xDD
LINES, COMMENT = 0xDC, 0xFE
APPLICATION = range(0xE0, 0xF0)
_PROFILES = 0xE2
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_FIRST = 2
"""The position of the first segment, after the start-of-image marker."""
_MARKER = re.compile(rb"\xff+([^\xff\x00])")
"""The next marker. libjpeg skips what precedes it: some cameras leave bytes between segments."""
_NEXT_MARKER = re.compile(rb"\xff[^\xff\x00\xd0-\xd7]")
"""Finds the end of entropy-coded data, in which every FF is escaped (00) or starts a restart marker. Twenty times as
fast as _MARKER."""
_ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without contents."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker and its contents. A scan includes the entropy-coded data after its header."""

    marker: int
    """The second byte of the marker."""
    start: int
    end: int
    coded: int = 0
    """The position of a scan's entropy-coded data."""

    @property
    def body(self) -> int:
        """The position of the contents, after the length."""
        return self.start + 4


def segments(data: bytes | mmap) -> Iterator[Segment]:
    """The segments of a file up to the end of the image, or up to where the file ends, perhaps within a segment.

    Raises struct.error if the file ends within the head of a segment.
    """
    position = _FIRST
    while found := _MARKER.search(data, position):
        start, marker = found.end() - 2, found[1][0]
        coded = 0
        if marker in _ALONE or marker == END:
            position = start + 2
        else:
            position = start + 2 + struct.unpack_from(">H", data, start + 2)[0]
        if marker == SCAN:
            coded = position
            following = _NEXT_MARKER.search(data, position)
            position = following.start() if following else len(data)
        yield Segment(marker, start, position, coded)
        if marker == END:
            return


def may_have_profile(data: bytes | mmap) -> bool:
    """Whether an ICC profile can be in the file: one of its application segments, before the first scan, is APP2."""
    for segment in segments(data):
        if segment.marker == _PROFILES:
            return True
        if segment.marker == SCAN:
            return False
    return False
