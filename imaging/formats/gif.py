"""GIF (GIF87a and GIF89a)."""

import re
import struct
from collections.abc import Iterator, Sequence
from mmap import mmap
from typing import BinaryIO

from imaging.formats.base import (
    KEEP_COLOURS,
    LOSSLESS,
    Format,
    Rate,
    Reader,
    Writer,
    register,
)
from imaging.limits import InputLimits
from imaging.types import Image, Target
from service_kit.errors import UnprocessableImage

_MAX_BLOCKS = 1_000_000
"""A block holds up to 255 bytes, so a full-size GIF of 64 MiB has about 264,000."""
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9
"""The extension with the delay and the transparent colour of the next frame."""
_LOOPS = {b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0"}
"""Application extensions with the number of repetitions."""
_LONGEST_KEPT = 19
_EFFORT = 1
"""On one core, 15 MP take 3.8 s with effort 1 and 6.4 s with effort 7."""


def _check(data: mmap, limits: InputLimits) -> int:
    """Limit the size, the frames, the comments and the blocks, and find the end.

    For a GIF with four million frames, libvips took 300 MB to report their number. It takes a frame that ends too early
    for a transparent one.
    """
    limits.check_size(*struct.unpack_from("<HH", data, 6))
    try:
        for number, _ in enumerate(_frames(data, limits), 1):
            limits.check_frames(number)
    except (IndexError, struct.error):
        raise UnprocessableImage("the image is corrupt or truncated: it ends within a block") from None
    return 0


def _frames(data: mmap, limits: InputLimits) -> Iterator[int]:
    """The position of each image descriptor (GIF89a, section 20). Raises UnprocessableImage for a broken structure."""
    blocks = iter(range(_MAX_BLOCKS))
    extensions = 0
    position = 13 + _colour_table_bytes(data[10])
    for _ in blocks:
        start, introducer = position, data[position] if position < len(data) else _TRAILER
        if introducer == _IMAGE:
            yield position
            limits.check_size(*struct.unpack_from("<HH", data, position + 5))
            position += 11 + _colour_table_bytes(data[position + 9])
        elif introducer == _EXTENSION:
            position += 2
        elif introducer == _TRAILER:
            return
        else:
            raise UnprocessableImage("the image is corrupt or truncated: it has no end")
        while length := data[position]:
            position += length + 1
            if next(blocks, None) is None:
                break
        position += 1
        extensions += position - start if introducer == _EXTENSION else 0
        limits.check_metadata(extensions)
    raise UnprocessableImage(
        f"the image consists of more than {_MAX_BLOCKS} blocks; save it again with another program"
    )


def _colour_table_bytes(flags: int) -> int:
    """The size of the colour table after a descriptor with these flags (GIF89a, sections 18 and 20)."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _damaged(messages: Sequence[str]) -> bool:
    return any("Invalid frame data" in message for message in messages)


def _save(image: Image, target: Target, quality: int) -> None:
    bits = max(1, -(-8 * quality // LOSSLESS))
    image.gifsave_target(target, bitdepth=bits, effort=_EFFORT, keep=KEEP_COLOURS)


def _write_rate(_pixels: int, _quality: int) -> Rate:
    return Rate(300, 24)


def _strip(data: mmap, target: BinaryIO) -> bool:
    """Copy what makes up the picture: not comments, not XMP, not extensions of other programs."""
    position = 13 + _colour_table_bytes(data[10])
    target.write(data[:position])
    while data[position] != _TRAILER:
        start, introducer = position, data[position]
        if introducer == _IMAGE:
            position += 11 + _colour_table_bytes(data[position + 9])
        elif introducer == _EXTENSION:
            position += 2
        else:
            return False
        while length := data[position]:
            position += length + 1
        position += 1
        if introducer == _IMAGE:
            target.write(memoryview(data)[start:position])
        else:
            target.write(_kept_extension(data[start : min(position, start + _LONGEST_KEPT)]))
    target.write(bytes([_TRAILER]))
    return True


def _kept_extension(data: bytes) -> bytes:
    """The part of an extension that decides how the picture looks, which may be nothing."""
    if data[1:3] == bytes([_CONTROL, 4]):
        return data[:7] + b"\0"
    if data[2:14] in _LOOPS and data[14:16] == b"\3\1":
        return data[:18] + b"\0"
    return b""


GIF = register(
    Format(
        name="gif",
        media_type="image/gif",
        extensions=("gif",),
        signature=re.compile(rb"GIF8[79]a"),
        alpha=True,
        animated=True,
        reader=Reader(loader="gifload", loader_class="Nsgif", rate=Rate(12, 6.5), check=_check, damaged=_damaged),
        writer=Writer(save=_save, rate=_write_rate, profiles=False),
        strip=_strip,
    )
)
