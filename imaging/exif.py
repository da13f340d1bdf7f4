"""Reads the orientation from EXIF data (EXIF 2.32, section 4.6.4; TIFF 6.0, section 2)."""

import struct

_PREFIX = b"Exif\0\0"
_ORIENTATION, _MOST_FIELDS = 0x0112, 200


def orientation(data: bytes) -> int:
    """The orientation in the first directory, from 1 to 8; 0 if there is none."""
    data = data.removeprefix(_PREFIX)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return 0
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (fields,) = struct.unpack_from(order + "H", data, start)
        for number in range(min(fields, _MOST_FIELDS)):
            tag, _, _, value = struct.unpack_from(order + "HHIH", data, start + 2 + 12 * number)
            if tag == _ORIENTATION:
                return int(value) if 1 <= value <= 8 else 0  # noqa: PLR2004
    except struct.error:
        pass
    return 0
