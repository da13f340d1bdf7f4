"""PNG (W3C PNG specification; RFC 2083)."""

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from mmap import mmap
from typing import BinaryIO

from imaging import exif
from imaging.colours import DEFAULT_PEAK, SRGB, SRGB_PRIMARIES, Colours, Primaries, Transfer, coded, gamma
from imaging.formats.base import (
    KEEP_COLOURS,
    LOSSLESS,
    Format,
    ImageFile,
    Rate,
    Reader,
    Writer,
    register,
)
from imaging.geometry import Size
from imaging.icc_profile import profile
from imaging.limits import InputLimits
from imaging.scaling import scale, scale_peeking
from imaging.types import Image, Target
from service_kit.errors import UnprocessableImage

_SIGNATURE_BYTES = 8
_CRC_BYTES = 4
_MAX_CHUNKS = 200_000
"""libpng writes chunks of 8 KiB, so a file of 64 MiB has 8,192."""
_PIECE_BYTES = 64 * 1024
_TEXT = {b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"sPLT"}
"""Chunks that a decoder keeps, however large they are. It skips those that it does not know."""
_COPIES = 4
"""libpng keeps the packed and the unpacked text, libvips copies it into the image."""
_COLOURS = {b"cICP", b"cLLI", b"sRGB", b"gAMA", b"cHRM"}
_ABOUT_SRGB = range(45_000, 46_001)
"""Exponents, in 100,000ths, that programs write for sRGB, which is not quite a power function (section 11.3.2.5)."""
_SAME_PRIMARIES = 0.0015
_NITS = 10_000
"""Units of light in a candela per square metre."""
_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
_IHDR_BYTES, _COLOUR_TYPE, _PALETTE = 13, 9, 3
_TRANSPARENT = {0: 2, 2: 6}
"""Bytes of the transparent colour, for grey and RGB (section 11.3.1)."""


def _check(data: mmap, limits: InputLimits) -> int:
    """Limit the size, the unpacked size of text, profile and EXIF together, and the number of chunks.

    A chunk of a few kB can unpack to 8 MB, and a file may have any number of them. Decoders limit each chunk
    but not the sum: a file of 2.3 MB with 300 such chunks took libvips to 2.2 GB.
    """
    if data[_SIGNATURE_BYTES + 4 : _SIGNATURE_BYTES + 8] == b"IHDR":
        limits.check_size(*struct.unpack_from(">II", data, _SIGNATURE_BYTES + 8))
    total = 0
    for name, content in _text_chunks(data):
        total += _unpacked_size(name, content, limits.max_metadata - total + 1)
        limits.check_metadata(total)
    return _COPIES * total


def _chunks(data: mmap) -> Iterator[tuple[bytes, int, int]]:
    """Name, position and content length of each chunk, up to and including IEND (PNG specification, section 5.3)."""
    position = _SIGNATURE_BYTES
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        yield name, position, length
        if name == b"IEND":
            return
        position += 8 + length + _CRC_BYTES


def _text_chunks(data: mmap) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the chunks that hold text."""
    for number, (name, position, length) in enumerate(_chunks(data)):
        if number == _MAX_CHUNKS:
            raise UnprocessableImage(
                f"the image has more than {_MAX_CHUNKS} chunks; save it again with another program"
            )
        if name in _TEXT:
            yield name, data[position + 8 : position + 8 + length]


def _colours(data: mmap) -> Colours | None:
    """The first of cICP, a profile, sRGB, gAMA with cHRM (PNG specification, third edition, section 4.3)."""
    chunks: dict[bytes, bytes] = {}
    for number, (name, position, length) in enumerate(_chunks(data)):
        if name == b"IDAT" or number == _MAX_CHUNKS:
            break
        if name in _COLOURS and name not in chunks and _is_intact(data, position, length):
            chunks[name] = data[position + 8 : position + 8 + length]
    try:
        return _coded(chunks) or (None if b"sRGB" in chunks else _measured(chunks))
    except (struct.error, ZeroDivisionError, ValueError):
        return None


def _orientation(data: mmap) -> int:
    """That of a late chunk: libvips reads only those before the pixels."""
    late = (data[position + 8 : position + 8 + length] for name, position, length in _chunks(data) if name == b"eXIf")
    return next(map(exif.orientation, late), 0)


def _unread_frames(data: mmap) -> int:
    """Of an animation (section 4.9), libpng reads the default image, which is its first frame or none of them."""
    names = [name for name, _, _ in islice(_chunks(data), _MAX_CHUNKS)]
    before = names[: names.index(b"IDAT")] if b"IDAT" in names else []
    return names.count(b"fcTL") - before.count(b"fcTL") if b"acTL" in before else 0


def _is_intact(data: mmap, position: int, length: int) -> bool:
    end = position + 8 + length
    return data[end : end + _CRC_BYTES] == struct.pack(">I", zlib.crc32(data[position + 4 : end]))


def _coded(chunks: dict[bytes, bytes]) -> Colours | None:
    if b"cICP" not in chunks:
        return None
    primaries, transfer, matrix, full = struct.unpack(">4B", chunks[b"cICP"])
    if matrix:  # only RGB is allowed
        return None
    (peak,) = struct.unpack_from(">I", chunks.get(b"cLLI", bytes(4)))
    return coded(
        primaries, transfer, full_range=bool(full), beats_profile=True, peak=peak / _NITS if peak else DEFAULT_PEAK
    )


def _measured(chunks: dict[bytes, bytes]) -> Colours | None:
    """The colours of gAMA and cHRM, each optional. None for sRGB."""
    exponent = struct.unpack(">I", chunks[b"gAMA"])[0] if b"gAMA" in chunks else 0
    primaries = _primaries(chunks[b"cHRM"]) if b"cHRM" in chunks else SRGB_PRIMARIES
    transfer: Transfer = gamma(100_000 / exponent) if exponent else SRGB
    if primaries == SRGB_PRIMARIES and exponent in _ABOUT_SRGB:
        transfer = SRGB
    colours = Colours(primaries, transfer)
    profile(colours)  # raises ValueError or struct.error for numbers that no profile can hold
    return None if colours.is_srgb else colours


def _primaries(content: bytes) -> Primaries:
    """The primaries of cHRM. Those of sRGB if they are about the same. Raises ValueError for impossible ones."""
    numbers = [number / 100_000 for number in struct.unpack(">8I", content)]
    places = list(zip(numbers[::2], numbers[1::2], strict=True))
    found = Primaries(*places)
    if not found.possible:
        raise ValueError
    pairs = zip(
        places, (SRGB_PRIMARIES.white, SRGB_PRIMARIES.red, SRGB_PRIMARIES.green, SRGB_PRIMARIES.blue), strict=True
    )
    same = all(abs(a - b) <= _SAME_PRIMARIES for one, other in pairs for a, b in zip(one, other, strict=True))
    return SRGB_PRIMARIES if same else found


def _unpacked_size(name: bytes, content: bytes, most: int) -> int:
    """The unpacked size of a chunk; counting stops soon after `most`.

    Unpacks in pieces, so that broken data counts up to where it breaks: a decoder unpacks that much too.
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
    """The zlib stream of a chunk (PNG specification, section 11.3.3), or None if it has none."""
    _, _, rest = content.partition(b"\0")
    if name in {b"zTXt", b"iCCP"}:
        return rest[1:]
    if name == b"iTXt" and rest[:1] == b"\1":
        return rest[2:].split(b"\0", 2)[-1]
    return None


def _scaled(file: ImageFile, target: Size) -> Image:
    """Peek at the first rows, unless the file is interlaced: then they are complete only at the end of the file."""
    return scale(file.load(), target) if file.header.progressive else scale_peeking(file.load, target)


def _save(image: Image, target: Target, quality: int) -> None:
    if quality < LOSSLESS:
        image.pngsave_target(target, palette=True, Q=quality, effort=1, keep=KEEP_COLOURS)
    else:
        image.pngsave_target(target, keep=KEEP_COLOURS)


def _write_rate(_pixels: int, quality: int) -> Rate:
    return Rate(135, 6) if quality < LOSSLESS else Rate(40, 0)


def _strip(data: mmap, target: BinaryIO) -> bool:
    target.write(data[:_SIGNATURE_BYTES])
    written: dict[bytes, int] = {}
    """The lengths of chunks so far."""
    colours = -1
    for name, position, length in _chunks(data):
        if name == b"IHDR":
            colours = data[position + 8 + _COLOUR_TYPE]
        if name == b"IEND":
            target.write(_END)
            return True
        if name == b"IDAT" or (
            b"IDAT" not in written and name not in written and _counts(name, length, colours, written)
        ):
            target.write(memoryview(data)[position : position + 8 + length + _CRC_BYTES])
            written[name] = length
    return False


def _counts(name: bytes, length: int, colours: int, written: Mapping[bytes, int]) -> bool:
    """Whether decoders use a chunk: they ignore those of a wrong length or for other colours, whatever is in them."""
    if name == b"IHDR":
        return length == _IHDR_BYTES
    if name == b"PLTE":
        return colours == _PALETTE
    if name == b"tRNS":
        return length <= written.get(b"PLTE", 0) // 3 if colours == _PALETTE else length == _TRANSPARENT.get(colours)
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
            rate=Rate(8, 0),
            interlaced_rate=Rate(20, 3.2),
            check=_check,
            colours=_colours,
            orientation=_orientation,
            unread_frames=_unread_frames,
            scaled=_scaled,
        ),
        writer=Writer(save=_save, rate=_write_rate),
        strip=_strip,
    )
)
