"""How many frames a GIF, a TIFF or a WebP has, counted in its structure before a decoder reads it.

A frame costs a file 10 to 50 bytes, and a decoder more: before it could say how many there are, libvips held 300 MB
for a GIF of four million frames, and took 5 s for a TIFF of half a million pages and over a minute for a WebP of a
million. Data that breaks off, or is of no known structure, ends the count: what is wrong is the decoder's to say.
"""

import mmap
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from service_kit.errors import UnprocessableImage

_MAX_BLOCKS = 1_000_000
"""Of a GIF's data, which come in blocks of up to 255 bytes: 64 MiB have 264,000 when they are full."""
_MAX_CHUNKS = 10_000
"""Of a WebP, whose every frame is one, beside a handful of others."""
_EXTENSION, _IMAGE = 0x21, 0x2C


def check_frames(path: Path, fmt: str, limit: int) -> None:
    """Raises UnprocessableImage when the image at `path`, of one of COUNTED's formats, has more than `limit` frames."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        frames = COUNTED[fmt](data)
        try:
            too_many = next(islice(frames, limit, None), None) is not None
        except (IndexError, OverflowError, struct.error):
            return
    if too_many:
        raise UnprocessableImage(f"the image has more than {limit} frames, the most that is allowed")


def _gif_frames(data: mmap.mmap) -> Iterator[int]:
    """The place of each image descriptor (GIF89a, 20)."""
    blocks = iter(range(_MAX_BLOCKS))
    place = 13 + _colours(data[10])
    for _ in blocks:
        if data[place] == _IMAGE:
            yield place
            place += 11 + _colours(data[place + 9])
        elif data[place] == _EXTENSION:
            place += 2
        else:
            return
        while length := data[place]:
            place += length + 1
            if next(blocks, None) is None:
                break
        place += 1
    raise UnprocessableImage(f"the image is split into more than {_MAX_BLOCKS} blocks; write it anew")


def _colours(flags: int) -> int:
    """The bytes of the colour table that follows a descriptor with these flags (GIF89a, 18 and 20)."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _tiff_pages(data: mmap.mmap) -> Iterator[int]:
    """The place of each directory in the chain of them (TIFF 6.0, 2); of a chain that is a loop, each once."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43  # noqa: PLR2004  # BigTIFF
    count, pointer, entry = ("Q", "Q", 20) if big else ("H", "I", 12)
    seen: set[int] = set()
    (place,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
    while place and place not in seen:
        seen.add(place)
        yield place
        (entries,) = struct.unpack_from(order + count, data, place)
        place += struct.calcsize("=" + count) + entries * entry
        (place,) = struct.unpack_from(order + pointer, data, place)


def _webp_frames(data: mmap.mmap) -> Iterator[int]:
    """The place of each ANMF chunk (RFC 9649, 2.7)."""
    (size,) = struct.unpack_from("<I", data, 4)
    place, end = 12, min(8 + size, len(data))
    for _ in range(_MAX_CHUNKS):
        if place + 8 > end:
            return
        name, length = struct.unpack_from("<4sI", data, place)
        if name == b"ANMF":
            yield place
        place += 8 + length + length % 2
    raise UnprocessableImage(f"the image has more than {_MAX_CHUNKS} chunks; write it anew")


COUNTED: dict[str, Callable[[mmap.mmap], Iterator[int]]] = {
    "gif": _gif_frames,
    "tiff": _tiff_pages,
    "webp": _webp_frames,
}
"""The formats that may have many frames, and where each begins."""
