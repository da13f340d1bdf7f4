"""GIF (GIF87a and GIF89a)."""

import re
import struct
from collections.abc import Sequence
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
from imaging.gif_blocks import CONTROL, IMAGE, TRAILER, Block, Place, blocks, canvas, colour_table_bytes, place
from imaging.gif_canvas import corrected
from imaging.limits import InputLimits
from imaging.types import Image, Target
from service_kit.errors import UnprocessableImage

_LOOPS = {b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0"}
"""Application extensions with the number of repetitions."""
_LONGEST_KEPT = 19
_INTERLACED = 0x40
"""Of such a frame, libnsgif takes the wrong rows if some are outside of the canvas."""
_LONGEST_CODE = 11
"""Bits of an uncompressed index, at most, that libnsgif reads; GIF89a (appendix F) allows 8."""
_EFFORT = 1
"""On one core, 15 MP take 3.8 s with effort 1 and 6.4 s with effort 7."""


def _check(data: mmap, limits: InputLimits) -> int:
    """Limit the size, the frames, the extensions and the blocks, and find the end.

    For a GIF with four million frames, libvips took 300 MB to report their number. It takes a frame that ends too early
    for a transparent one.
    """
    limits.check_size(*struct.unpack_from("<HH", data, 6))
    area, frames, extensions = None, 0, 0
    try:
        for block in blocks(data):
            if block.introducer == IMAGE:
                frames += 1
                limits.check_frames(frames)
                area = area or canvas(data, place(data, block))
                _check_frame(data, block, area, limits)
            else:
                extensions += block.end - block.start
                limits.check_metadata(extensions)
    except (IndexError, struct.error):
        raise UnprocessableImage("the image is corrupt or truncated: it ends within a block") from None
    return 0


def _check_frame(data: mmap, frame: Block, area: Place, limits: InputLimits) -> None:
    where, flags = place(data, frame), data[frame.start + 9]
    limits.check_size(area.right, area.bottom)
    limits.check_size(where.right - where.left, where.bottom - where.top)
    if flags & _INTERLACED and where.bottom > area.bottom > where.top:
        raise UnprocessableImage(
            "the image has an interlaced frame that is partly below the canvas; save it again with another program"
        )
    if data[frame.start + 10 + colour_table_bytes(flags)] > _LONGEST_CODE:
        raise UnprocessableImage("the image is corrupt or truncated: the codes of a frame are too long")


def _damaged(messages: Sequence[str]) -> bool:
    return any("Invalid frame data" in message for message in messages)


def _save(image: Image, target: Target, quality: int) -> None:
    bits = max(1, -(-8 * quality // LOSSLESS))
    image.gifsave_target(target, bitdepth=bits, effort=_EFFORT, keep=KEEP_COLOURS)


def _write_rate(_pixels: int, _quality: int) -> Rate:
    return Rate(300, 24)


def _strip(data: mmap, target: BinaryIO) -> bool:
    """Copy what makes up the picture: not comments, not XMP, not extensions of other programs."""
    target.write(data[: 13 + colour_table_bytes(data[10])])
    for block in blocks(data):
        if block.introducer == IMAGE:
            target.write(memoryview(data)[block.start : block.end])
        else:
            target.write(_kept_extension(data[block.start : min(block.end, block.start + _LONGEST_KEPT)]))
    target.write(bytes([TRAILER]))
    return True


def _kept_extension(data: bytes) -> bytes:
    """The part of an extension that decides how the picture looks, which may be nothing."""
    if data[1:3] == bytes([CONTROL, 4]):
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
        reader=Reader(
            loader="gifload",
            loader_class="Nsgif",
            rate=Rate(12, 6.5),
            check=_check,
            corrected=corrected,
            damaged=_damaged,
        ),
        writer=Writer(save=_save, rate=_write_rate, profiles=False),
        strip=_strip,
    )
)
