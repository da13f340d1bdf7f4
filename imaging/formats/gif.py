"""GIF (GIF87a and GIF89a)."""

import re
from collections.abc import Iterator
from mmap import mmap
from typing import BinaryIO

from imaging.formats.base import (
    KEEP_NO_METADATA,
    LOSSLESS,
    Format,
    InputLimits,
    Rate,
    Reader,
    Writer,
    refuse_more_frames,
    register,
)
from imaging.types import Image, Target
from service_kit.errors import UnprocessableImage

_MAX_BLOCKS = 1_000_000
"""A block holds up to 255 bytes, so a full-size GIF of 64 MiB has about 264,000."""
_EXTENSION, _IMAGE = 0x21, 0x2C
_EFFORT = 1
"""On one core, 15 MP take 3.8 s with effort 1 and 6.4 s with effort 7."""


def _check(data: mmap, limits: InputLimits) -> None:
    """Count the frames before libvips does: for a GIF with four million, it took 300 MB to report their number."""
    refuse_more_frames(_frames(data), limits.max_frames)


def _frames(data: mmap) -> Iterator[int]:
    """The position of each image descriptor (GIF89a, section 20)."""
    blocks = iter(range(_MAX_BLOCKS))
    position = 13 + _colour_table_bytes(data[10])
    for _ in blocks:
        if data[position] == _IMAGE:
            yield position
            position += 11 + _colour_table_bytes(data[position + 9])
        elif data[position] == _EXTENSION:
            position += 2
        else:
            return
        while length := data[position]:
            position += length + 1
            if next(blocks, None) is None:
                break
        position += 1
    raise UnprocessableImage(
        f"the image consists of more than {_MAX_BLOCKS} blocks; save it again with another program"
    )


def _colour_table_bytes(flags: int) -> int:
    """The size of the colour table after a descriptor with these flags (GIF89a, sections 18 and 20)."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _save(image: Image, target: Target, quality: int) -> None:
    bits = max(1, -(-8 * quality // LOSSLESS))
    image.gifsave_target(target, bitdepth=bits, effort=_EFFORT, keep=KEEP_NO_METADATA)


def _write_rate(_pixels: int, _quality: int) -> Rate:
    return Rate(300, 11.5)


def _strip(data: mmap, target: BinaryIO) -> bool:
    """Copy the file unchanged, with its comments: GIF has no EXIF."""
    target.write(data)
    return True


GIF = register(
    Format(
        name="gif",
        media_type="image/gif",
        extensions=("gif",),
        signature=re.compile(rb"GIF8[79]a"),
        alpha=True,
        animated=True,
        reader=Reader(loader="gifload", loader_class="Nsgif", rate=Rate(12, 6.5), check=_check),
        writer=Writer(save=_save, rate=_write_rate),
        strip=_strip,
    )
)
