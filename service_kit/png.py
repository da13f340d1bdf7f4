"""How much text a PNG carries, counted before a decoder unpacks all of it.

A chunk of a few kB can unpack to 8 MB, and there may be any number of them: decoders bound each, not the sum
(300 of them, 2.3 MB as a file, took libvips to 2.2 GB).
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

_SIGNATURE_BYTES = 8
_CRC_BYTES = 4
_TEXT = {b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"}


def has_too_much_text(path: Path, limit: int) -> bool:
    """Whether text, profile and EXIF of the PNG at `path` have more than `limit` bytes when unpacked."""
    total = 0
    for kind, data in _text_chunks(path):
        total += _unpacked_size(kind, data, limit - total + 1)
        if total > limit:
            return True
    return False


def _text_chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    with path.open("rb") as file:
        file.seek(_SIGNATURE_BYTES)
        while len(head := file.read(8)) == 8:  # noqa: PLR2004  # length and type (PNG specification, 5.3)
            length, kind = struct.unpack(">I4s", head)
            if kind in _TEXT:
                yield kind, file.read(length)
                file.seek(_CRC_BYTES, 1)
            else:
                file.seek(length + _CRC_BYTES, 1)


def _unpacked_size(kind: bytes, data: bytes, most: int) -> int:
    packed = _packed_part(kind, data)
    if packed is None:
        return len(data)
    try:
        return len(zlib.decompressobj().decompress(packed, most))
    except zlib.error:
        return len(data)  # no decoder gets more out of it


def _packed_part(kind: bytes, data: bytes) -> bytes | None:
    """The zlib stream of a chunk (PNG specification, 11.3.3); None where there is none."""
    _, _, rest = data.partition(b"\0")
    if kind in {b"zTXt", b"iCCP"}:
        return rest[1:]
    if kind == b"iTXt" and rest[:1] == b"\1":
        return rest[2:].split(b"\0", 2)[-1]
    return None
