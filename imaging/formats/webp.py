"""WebP (RFC 9649)."""

import re
import struct
from collections.abc import Iterable, Iterator
from mmap import mmap
from typing import TYPE_CHECKING, BinaryIO

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
from imaging.limits import InputLimits
from imaging.scaling import scale, shrink_factor
from imaging.types import Image, Target
from service_kit.errors import UnprocessableImage

if TYPE_CHECKING:
    from imaging.header import Header

_MAX_CHUNKS = 10_000
"""Each frame is a chunk, and a file has a handful of other chunks."""
_EFFORT = 2
"""Out of 6; see docs/adr/0007."""
_LEFT = 1.5
"""How many times each side of what the decoder has scaled is longer than that of the result. Costs up to a quarter of
the time, and gains 1 to 4 points of SSIMULACRA2 (docs/adr/0067)."""
_LEAST = 1.25
"""A decoder that shrinks by less blurs more than it saves."""
_METADATA = {b"EXIF", b"XMP ", b"ICCP"}
_CANVAS, _FRAME = b"VP8X", b"ANMF"
_FRAME_HEAD = 16
_LOSSY, _ALPHA, _ANIMATION = b"VP8 ", b"ALPH", b"ANIM"
_PIXELS = {_LOSSY, b"VP8L"}
_CANVAS_BYTES, _ANIMATION_BYTES = 10, 6
_HOLE = bytes(4096)
"""A block of a disk. The arithmetic and prefix codes of both bitstreams do not produce such a run."""
_COPIES = 3
"""libwebp copies metadata, and libvips copies it into the image."""
_FLAGS_AT, _ANIMATED, _HAS_ALPHA = 20, 0x02, 0x10
_METADATA_FLAGS = 0x20 | 0x08 | 0x04
"""Bits in the first byte of the VP8X chunk that announce metadata chunks (RFC 9649, section 2.7)."""


def _check(data: mmap, limits: InputLimits) -> int:
    """Limit the canvas, the frames, the metadata and the chunks, and look for zeros.

    For a WebP with a million frames, libvips took over a minute to report their number. Pixels have no checksum, so
    libwebp decodes zeros to some colours.
    """
    metadata = frames = 0
    for name, position, length in _chunks(data):
        if name == _CANVAS:
            width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (position + 12, position + 15))
            limits.check_size(width, height)
        elif name in _METADATA:
            metadata += length
            limits.check_metadata(metadata)
        elif name == _FRAME:
            frames += 1
            limits.check_frames(frames)
        elif name in _PIXELS and position + 8 + length > len(data):
            raise UnprocessableImage("the image is corrupt or truncated: it ends within its pixels")
        elif name in _PIXELS and data.find(_HOLE, position + 8, position + 8 + length) >= 0:
            raise UnprocessableImage("the image is corrupt or truncated: a part of it consists of zeros")
    return _COPIES * metadata


def _chunks(data: mmap) -> Iterator[tuple[bytes, int, int]]:
    """Name, position and content length of each chunk, also of those in frames (RFC 9649, sections 2.3 and 2.7)."""
    (size,) = struct.unpack_from("<I", data, 4)
    position, end = 12, min(8 + size, len(data))
    for _ in range(_MAX_CHUNKS):
        if position + 8 > end:
            return
        name, length = struct.unpack_from("<4sI", data, position)
        yield name, position, length
        position += 8 + (_FRAME_HEAD if name == _FRAME and length >= _FRAME_HEAD else length + length % 2)
    raise UnprocessableImage(f"the image has more than {_MAX_CHUNKS} chunks; save it again with another program")


def _shrink(header: "Header", target: Size) -> float:
    """Let the decoder do all but the last third, for which its filter is not good enough.

    It takes any factor, but no account of alpha: the hidden colours of transparent pixels would appear at edges. It
    refuses a side of less than a pixel.
    """
    if header.alpha:
        return 1.0
    shrink = min(shrink_factor(header.size, target) / _LEFT, header.width, header.height)
    return shrink if shrink >= _LEAST else 1.0


def _scaled(file: ImageFile, target: Size) -> Image:
    shrink = _shrink(file.header, target)
    return scale(file.load(scale=1 / shrink) if shrink > 1 else file.load(), target)


def _save(image: Image, target: Target, quality: int) -> None:
    lossless = quality == LOSSLESS
    image.webpsave_target(target, Q=quality, lossless=lossless, effort=_EFFORT, keep=KEEP_COLOURS)


def _completed(file: BinaryIO, image: Image) -> None:
    """Say that an animation has alpha.

    libwebp only does if a frame has some. If opaque frames are smaller than the canvas, some programs show black there.
    """
    file.seek(0)
    head = file.read(_FLAGS_AT + 1)
    if head[12:16] == _CANVAS and head[_FLAGS_AT] & _ANIMATED and image.hasalpha():
        file.seek(_FLAGS_AT)
        file.write(bytes([head[_FLAGS_AT] | _HAS_ALPHA]))


def _write_rate(_pixels: int, quality: int) -> Rate:
    return Rate(45, 6) if quality < LOSSLESS else Rate(750, 24)


def _strip(data: mmap, target: BinaryIO) -> bool:
    target.write(data[:12])
    end = min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    found = list(_siblings(data, 12, end))
    frames = 0
    for name, start, after in found:
        if name == _CANVAS:
            flags = data[start + 8] & ~_METADATA_FLAGS & 0xFF
            target.write(_head(name, _CANVAS_BYTES) + bytes([flags]) + data[start + 9 : start + 8 + _CANVAS_BYTES])
        elif name == _ANIMATION:
            target.write(_head(name, _ANIMATION_BYTES) + data[start + 8 : start + 8 + _ANIMATION_BYTES])
        elif name == _FRAME:
            frames += 1
            inside = start + 8 + _FRAME_HEAD
            parts = _picture(_siblings(data, inside, after))
            target.write(_head(name, _FRAME_HEAD + sum(e - s for s, e in parts)) + data[start + 8 : inside])
            target.writelines(memoryview(data)[s:e] for s, e in parts)
    if not frames:
        target.writelines(memoryview(data)[s:e] for s, e in _picture(found))
    size = target.tell()
    target.seek(4)
    target.write(struct.pack("<I", size - 8))
    return True


def _head(name: bytes, length: int) -> bytes:
    return name + struct.pack("<I", length)


def _picture(chunks: Iterable[tuple[bytes, int, int]]) -> list[tuple[int, int]]:
    """Start and end of what decoders use of a picture: its pixels, and alpha before lossy ones."""
    alpha: list[tuple[int, int]] = []
    for name, start, after in chunks:
        if name == _ALPHA and not alpha:
            alpha = [(start, after)]
        elif name in _PIXELS:
            return [*(alpha if name == _LOSSY else []), (start, after)]
    return []


def _siblings(data: mmap, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk between two positions, with its padding."""
    while position + 8 <= end:
        name, length = struct.unpack_from("<4sI", data, position)
        after = min(position + 8 + length + length % 2, end)
        yield name, position, after
        position = after


WEBP = register(
    Format(
        name="webp",
        media_type="image/webp",
        extensions=("webp",),
        signature=re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
        alpha=True,
        animated=True,
        reader=Reader(
            loader="webpload",
            loader_class="Webp",
            rate=Rate(22, 18),
            shrunk_rate=Rate(8, 4.6),
            check=_check,
            shrink=_shrink,
            scaled=_scaled,
        ),
        writer=Writer(
            save=_save,
            completed=_completed,
            rate=_write_rate,
            alpha_bytes=35,
            max_side=16_383,
            default_quality=79,
            auto_rank=1,
        ),
        strip=_strip,
    )
)
