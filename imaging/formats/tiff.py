"""TIFF 6.0, and BigTIFF."""

import re
import struct
from collections.abc import Iterator
from mmap import mmap

from imaging.formats.base import (
    KEEP_NO_METADATA,
    LOSSLESS,
    Format,
    ImageFile,
    InputLimits,
    Rate,
    Reader,
    Writer,
    refuse_more_frames,
    register,
)
from imaging.geometry import Size
from imaging.scaling import scale_peeking
from imaging.types import Image, Target

_BIG = 43


def _check(data: mmap, limits: InputLimits) -> None:
    """Count the pages before libvips does: for a TIFF with half a million, it took 5 s to report their number."""
    refuse_more_frames(_pages(data), limits.max_frames)


def _pages(data: mmap) -> Iterator[int]:
    """The position of each directory in the chain (TIFF 6.0, section 2). A chain that loops ends where it closes."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == _BIG
    count, pointer, entry = ("Q", "Q", 20) if big else ("H", "I", 12)
    seen: set[int] = set()
    (position,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
    while position and position not in seen:
        seen.add(position)
        yield position
        (entries,) = struct.unpack_from(order + count, data, position)
        position += struct.calcsize("=" + count) + entries * entry
        (position,) = struct.unpack_from(order + pointer, data, position)


def _scaled(file: ImageFile, target: Size) -> Image:
    return scale_peeking(file.load, target)


def _save(image: Image, target: Target, quality: int) -> None:
    if quality < LOSSLESS and not image.hasalpha():
        image.tiffsave_target(target, compression="jpeg", Q=max(1, quality), keep=KEEP_NO_METADATA)
    else:
        image.tiffsave_target(target, compression="deflate", predictor="horizontal", keep=KEEP_NO_METADATA)


def _write_rate(_pixels: int, _quality: int) -> Rate:
    return Rate(40, 1.2)


TIFF = register(
    Format(
        name="tiff",
        media_type="image/tiff",
        extensions=("tiff", "tif"),
        signature=re.compile(rb"II[*+]\0|MM\0[*+]"),
        alpha=True,
        reader=Reader(loader="tiffload", loader_class="Tiff", rate=Rate(8, 1.5), check=_check, scaled=_scaled),
        writer=Writer(save=_save, rate=_write_rate),
    )
)
