"""How much text a PNG carries, counted before a decoder unpacks all of it.

A chunk of a few kB can unpack to 8 MB, and there may be any number of them: decoders bound each, not the sum
(300 of them, 2.3 MB as a file, took libvips to 2.2 GB).
"""

import mmap
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from service_kit.errors import UnprocessableImage

_SIGNATURE_BYTES = 8
_CRC_BYTES = 4
_MAX_CHUNKS = 200_000
"""64 MiB in chunks of 8 KiB, as libpng writes them, are 8,192."""
_PIECE_BYTES = 64 * 1024
_TEXT = {b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"}


def check_text(path: Path, limit: int) -> None:
    """Raises UnprocessableImage when the PNG at `path` carries too much.

    That is more than `limit` bytes of text, profile and EXIF when unpacked, or more chunks than any encoder makes.
    """
    total = 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for kind, text in _text_chunks(data):
            total += _unpacked_size(kind, text, limit - total + 1)
            if total > limit:
                raise UnprocessableImage(f"the image carries more than {limit} bytes of text; strip its metadata")


def _text_chunks(data: mmap.mmap) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of the chunks that hold text, up to the image's end (PNG specification, 5.3)."""
    start = _SIGNATURE_BYTES
    for _ in range(_MAX_CHUNKS):
        if start + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, start)
        if kind == b"IEND":
            return
        if kind in _TEXT:
            yield kind, data[start + 8 : start + 8 + length]
        start += 8 + length + _CRC_BYTES
    raise UnprocessableImage(f"the image has more than {_MAX_CHUNKS} chunks; write it anew")


def _unpacked_size(kind: bytes, text: bytes, most: int) -> int:
    """The bytes of a chunk when unpacked, up to about `most`.

    In pieces: where the packed data turn out to be broken, a decoder has unpacked what came before as well.
    """
    packed = _packed_part(kind, text)
    if packed is None:
        return len(text)
    size, unpacker = len(text), zlib.decompressobj()
    try:
        while size <= most and (piece := unpacker.decompress(packed, _PIECE_BYTES)):
            size += len(piece)
            packed = unpacker.unconsumed_tail
    except zlib.error:
        size += _PIECE_BYTES
    return size


def _packed_part(kind: bytes, data: bytes) -> bytes | None:
    """The zlib stream of a chunk (PNG specification, 11.3.3); None where there is none."""
    _, _, rest = data.partition(b"\0")
    if kind in {b"zTXt", b"iCCP"}:
        return rest[1:]
    if kind == b"iTXt" and rest[:1] == b"\1":
        return rest[2:].split(b"\0", 2)[-1]
    return None
