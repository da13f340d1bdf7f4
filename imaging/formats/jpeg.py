"""JPEG (ISO 10918-1)."""

import re
import struct
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from mmap import mmap
from typing import TYPE_CHECKING, BinaryIO

from imaging import jpeg_checks, jpeg_endings, jpeg_gain_map, jpeg_scans, jpeg_segments
from imaging.formats.base import KEEP_COLOURS, Format, ImageFile, Rate, Reader, Writer, register
from imaging.geometry import Size
from imaging.limits import InputLimits
from imaging.scaling import scale, shrink_factor
from imaging.types import Image, Target

if TYPE_CHECKING:
    from imaging.header import Header

_SHRINKS = ((16, 8.0), (8, 4.0), (4, 2.0))
"""The least factor at which libvips lets libjpeg shrink, and by how much. libvips leaves a factor of 2 to its own,
better filter."""
_LEAST_SHRUNK = 16
"""A shrunk image has at least so many pixels on each side."""
_PROGRESSIVE_PIXELS = range(100_000, 4_000_000)
"""Sizes that are encoded as progressive. From 512 x 288, files get 2 to 3 % smaller; below that, they get larger.
At 2048 x 1152, it takes 20 ms."""
_OPTIMIZED_PIXELS = 16_000_000
"""Up to this size, Huffman tables are optimised. That saves 4 %, but keeps all coefficients in memory: 3 to 6 bytes per
pixel."""
_LARGE_PIXELS = 4_000_000
_AT_ONCE = 4_000_000
"""Baseline files of at most so many pixels, after shrinking, are decoded by libjpeg-turbo. It needs 12 MB for them, and
saves a tenth of the time at an eighth of the size, and 30 to 60 % at full size."""
_WARNINGS = re.compile(r"read gave (\d+) warnings")
_PADDING = re.compile(r"\b\d{1,3} extraneous bytes before marker 0xd9")

_COPIES_FOR_MAP = 3
"""Ultra HDR files are copied to find their gain map."""

_PICTURE = {
    *jpeg_segments.FRAMES, jpeg_segments.HUFFMAN_TABLES, jpeg_segments.ARITHMETIC_CODING, jpeg_segments.QUANTISATION,
    jpeg_segments.RESTART_INTERVAL, jpeg_segments.SCAN, jpeg_segments.END,
}  # fmt: skip
_JFIF = b"JFIF\0"
_KEPT = {0xE0: (_JFIF, 14), 0xEE: (b"Adobe", 12)}
"""The application segments that define what the colours mean: their names and the length of what counts."""


def _check(data: mmap, limits: InputLimits) -> int:
    held = jpeg_checks.check(jpeg_endings.corrected(data).data, limits)
    return held + _COPIES_FOR_MAP * len(data) if jpeg_gain_map.pixels(data) else held


def _shrink(header: "Header", target: Size) -> float:
    factor = shrink_factor(header.size, target)
    return next((s for least, s in _SHRINKS if factor >= least and _keeps_edges(header.size, target, int(s))), 1.0)


def _keeps_edges(size: Size, target: Size, shrink: int) -> bool:
    """Whether libvips may let libjpeg shrink.

    It drops the pixels at the right and at the bottom that do not fill a shrunk pixel: of a narrow image, a visible
    part, or everything.
    """
    return all(
        side >= _LEAST_SHRUNK * shrink and side % shrink * after <= side / 2
        for side, after in ((size.width, target.width), (size.height, target.height))
    )


def _share_read(data: mmap, shrink: float) -> float:
    needed = jpeg_scans.needed(data, int(shrink))
    return needed.getbuffer().nbytes / len(data) if isinstance(needed, BytesIO) else 1.0


def _at_once(header: "Header", shrink: float) -> bool:
    return not header.progressive and header.size.pixels <= _AT_ONCE * shrink**2


def _whole(file: ImageFile) -> Image:
    return _shrunk(file, 1)


def _scaled(file: ImageFile, target: Size) -> Image:
    return scale(_shrunk(file, int(_shrink(file.header, target))), target)


def _shrunk(file: ImageFile, shrink: int) -> Image:
    decoded = None
    if file.header.progressive and shrink > 1:
        needed = jpeg_scans.needed(file.data, shrink)
        decoded = file.load_jpeg(needed, shrink) if needed else None
    elif _at_once(file.header, shrink):
        decoded = file.load_jpeg(file.data, shrink)
    if decoded is not None:
        return decoded
    return file.load(shrink=shrink) if shrink > 1 else file.load()


def _damaged(messages: Sequence[str]) -> bool:
    """Whether libjpeg has warned about pixels. libvips reports the number of warnings of each decoder.

    It opens a file twice: for the header, then for everything. Bytes between the header's segments are harmless, and
    then both numbers are the same. So are zeros before the end of a progressive file.
    """
    counts = [int(found[1]) for message in messages if (found := _WARNINGS.search(message))]
    if counts == [1] and any(_PADDING.search(message) for message in messages):
        return False
    return any(number % 2 for number in Counter(counts).values())


def _save(image: Image, target: Target, quality: int) -> None:
    pixels = image.width * image.height
    image.jpegsave_target(
        target,
        Q=max(1, quality),
        optimize_coding=pixels <= _OPTIMIZED_PIXELS,
        interlace=pixels in _PROGRESSIVE_PIXELS,
        keep=KEEP_COLOURS,
    )


def _write_rate(pixels: int, _quality: int) -> Rate:
    if pixels > _OPTIMIZED_PIXELS:  # streamed
        return Rate(6, 0)
    return Rate(16 if pixels > _LARGE_PIXELS else 20, 7)


def _strip(data: mmap, target: BinaryIO) -> bool:
    whole = jpeg_endings.corrected(data).data
    target.write(whole[:2])
    for segment in jpeg_segments.segments(whole):
        if segment.marker in _PICTURE:
            target.write(memoryview(whole)[segment.start : segment.end])
        elif kept := _KEPT.get(segment.marker):
            target.write(_kept(whole[segment.start : segment.end], *kept))
        if segment.marker == jpeg_segments.END:
            return True
    return False


def _kept(segment: bytes, name: bytes, length: int) -> bytes:
    """The part of an application segment that says what the colours mean, which may be nothing."""
    if segment[4 : 4 + len(name)] != name or len(segment) < 4 + length:
        return b""
    content = segment[4 : 4 + length]
    if name == _JFIF:
        content = content[:-2] + b"\0\0"  # no thumbnail
    return segment[:2] + struct.pack(">H", 2 + length) + content


JPEG = register(
    Format(
        name="jpeg",
        media_type="image/jpeg",
        extensions=("jpg", "jpeg"),
        signature=re.compile(rb"\xff\xd8\xff"),
        alpha=False,
        reader=Reader(
            loader="jpegload",
            loader_class="Jpeg",
            rate=Rate(6, 0),
            interlaced_rate=Rate(18, 7),
            shrunk_rate=Rate(2, 0),
            at_once=_at_once,
            interlacing="progressive",
            check=_check,
            gain_map=jpeg_gain_map.pixels,
            gain_map_loader="uhdrload",
            gain_map_loader_class="Uhdr",
            corrected=jpeg_endings.corrected,
            damaged=_damaged,
            share_read=_share_read,
            shrink=_shrink,
            whole=_whole,
            scaled=_scaled,
        ),
        writer=Writer(save=_save, rate=_write_rate, gain_maps=True, default_quality=80),
        strip=_strip,
    )
)
