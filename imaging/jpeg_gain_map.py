"""Finds the gain map of an Ultra HDR JPEG: a second JPEG in the file, which says how much brighter the first can be.

The multi-picture index (CIPA DC-007) says where it is. Segments say that it is a gain map: ISO 21496-1, or Adobe's XMP.
"""

import struct
from mmap import mmap

from imaging import jpeg_segments as jpeg

_MPF, _XMP, _ISO = b"MPF\0", b"http://ns.adobe.com/xap/1.0/\0", b"urn:iso:std:iso:ts:21496:-1\0"
_HDRGM = b"hdrgm:"
_APP1, _APP2 = 0xE1, 0xE2
_ENTRIES_TAG = 0xB002
_MOST_FIELDS, _MOST_IMAGES = 16, 16
_SOI = b"\xff\xd8"
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def pixels(data: mmap) -> int:
    """The number of pixels of the gain map; 0 if there is none."""
    try:
        described, index = _look(data)
        if not described or not index:
            return 0
        for start, size in _images(data, index):
            found = _pixels_of_map(data[start : start + size]) if data[start : start + 2] == _SOI else 0
            if found:
                return found
    except (struct.error, IndexError):
        pass
    return 0


def _look(data: bytes | mmap) -> tuple[bool, int]:
    """Whether the segments before the pixels mention a gain map, and where the multi-picture index is (0: nowhere)."""
    described, index = False, 0
    for segment in jpeg.segments(data):
        if segment.marker == jpeg.SCAN:
            break
        if segment.marker == _APP1 and data[segment.body : segment.body + len(_XMP)] == _XMP:
            described |= _HDRGM in data[segment.body : segment.end]
        elif segment.marker == _APP2:
            described |= data[segment.body : segment.body + len(_ISO)] == _ISO
            if data[segment.body : segment.body + len(_MPF)] == _MPF:
                index = segment.body + len(_MPF)
    return described, index


def _images(data: mmap, index: int) -> list[tuple[int, int]]:
    """Position and size of the images behind the first one."""
    order = "<" if data[index : index + 4] == b"II*\0" else ">"
    (first,) = struct.unpack_from(order + "I", data, index + 4)
    (fields,) = struct.unpack_from(order + "H", data, index + first)
    for number in range(min(fields, _MOST_FIELDS)):
        tag, _, size, place = struct.unpack_from(order + "HHII", data, index + first + 2 + 12 * number)
        if tag == _ENTRIES_TAG:
            entries = [
                struct.unpack_from(order + "4xII", data, index + place + 16 * each)
                for each in range(1, min(size // 16, _MOST_IMAGES))
            ]
            return [(index + offset, length) for length, offset in entries]
    return []


def _pixels_of_map(data: bytes) -> int:
    if not _look(data)[0]:
        return 0
    for segment in jpeg.segments(data):
        if segment.marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, segment.body + 1)
            return int(width * height)
    return 0
