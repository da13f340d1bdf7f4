"""PNG (W3C PNG specification; RFC 2083)."""

import re
import struct
import zlib
from collections.abc import Iterator
from mmap import mmap
from typing import BinaryIO

from imaging.formats.base import (
    KEEP_NO_METADATA,
    LOSSLESS,
    Format,
    ImageFile,
    InputLimits,
    Rate,
    Reader,
    Writer,
    register,
)
from imaging.geometry import Size
from imaging.scaling import scale, scale_peeking
from imaging.types import Image
from service_kit.errors import UnprocessableImage

_SIGNATURE_BYTES = 8
_CRC_BYTES = 4
_MAX_CHUNKS = 200_000
"""libpng writes chunks of 8 KiB: 64 MiB are 8,192."""
_MAX_TEXT_BYTES = 8 * 1024**2
_PIECE_BYTES = 64 * 1024
_TEXT = {b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"}
_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


def _check(data: mmap, _limits: InputLimits) -> None:
    """Bound the text, profile and EXIF of a file when unpacked, and the number of chunks.

    A chunk of a few kB can unpack to 8 MB, and there may be any number of them. Decoders bound each, not the sum: 300
    of them, a file of 2.3 MB, took libvips to 2.2 GB.
    """
    total = 0
    for name, content in _text_chunks(data):
        total += _unpacked_size(name, content, _MAX_TEXT_BYTES - total + 1)
        if total > _MAX_TEXT_BYTES:
            raise UnprocessableImage(f"the image has more than {_MAX_TEXT_BYTES} bytes of metadata; strip its metadata")


def _chunks(data: mmap) -> Iterator[tuple[bytes, int, int]]:
    """Name, place and content length of each chunk, up to and including IEND (PNG specification, 5.3)."""
    place = _SIGNATURE_BYTES
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        yield name, place, length
        if name == b"IEND":
            return
        place += 8 + length + _CRC_BYTES


def _text_chunks(data: mmap) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the chunks that hold text."""
    for number, (name, place, length) in enumerate(_chunks(data)):
        if number == _MAX_CHUNKS:
            raise UnprocessableImage(f"the image has more than {_MAX_CHUNKS} chunks; save it again")
        if name in _TEXT:
            yield name, data[place + 8 : place + 8 + length]


def _unpacked_size(name: bytes, content: bytes, most: int) -> int:
    """The bytes of a chunk when unpacked, up to about `most`.

    Unpacks in pieces: if the packed data turns out to be broken, a decoder has unpacked what came before as well.
    """
    packed = _packed_part(name, content)
    if packed is None:
        return len(content)
    size, unpacker = len(content), zlib.decompressobj()
    try:
        while size <= most and (piece := unpacker.decompress(packed, _PIECE_BYTES)):
            size += len(piece)
            packed = unpacker.unconsumed_tail
    except zlib.error:
        size += _PIECE_BYTES
    return size


def _packed_part(name: bytes, content: bytes) -> bytes | None:
    """The zlib stream of a chunk (PNG specification, 11.3.3), or None if it has none."""
    _, _, rest = content.partition(b"\0")
    if name in {b"zTXt", b"iCCP"}:
        return rest[1:]
    if name == b"iTXt" and rest[:1] == b"\1":
        return rest[2:].split(b"\0", 2)[-1]
    return None


def _scaled(file: ImageFile, target: Size) -> Image:
    """The first rows of a file that is not interlaced are there before the rest is read."""
    return scale(file.load(), target) if file.header.progressive else scale_peeking(file.load, target)


def _save(image: Image, path: str, quality: int) -> None:
    if quality < LOSSLESS:
        image.pngsave(path, palette=True, Q=quality, effort=1, keep=KEEP_NO_METADATA)
    else:
        image.pngsave(path, keep=KEEP_NO_METADATA)


def _write_rate(_pixels: int, quality: int) -> Rate:
    return Rate(135, 6) if quality < LOSSLESS else Rate(40, 1.2)


def _strip(data: mmap, target: BinaryIO) -> bool:
    target.write(data[:_SIGNATURE_BYTES])
    for name, place, length in _chunks(data):
        if name in _KEPT:
            target.write(memoryview(data)[place : place + 8 + length + _CRC_BYTES])
        if name == b"IEND":
            return True
    return False


PNG = register(
    Format(
        name="png",
        media_type="image/png",
        extensions=("png",),
        signature=re.compile(rb"\x89PNG\r\n\x1a\n"),
        alpha=True,
        reader=Reader(
            loader="pngload",
            loader_class="Png",
            rate=Rate(8, 1.2),
            interlaced_rate=Rate(20, 4.5),
            check=_check,
            scaled=_scaled,
        ),
        writer=Writer(save=_save, rate=_write_rate),
        strip=_strip,
    )
)
