"""An AVIF may be a grid of pictures, and only they may say what their colours are."""

import struct
from collections.abc import Iterable
from mmap import mmap
from pathlib import Path

import numpy as np
import pytest
import pyvips

from imaging.isobmff import boxes
from tests.fidelity.rendering import rendered, values
from tests.fidelity.test_colours import COLOUR, IN_P3

_GRID, _TILES = 1, (2, 3)
_GRID_SIZE, _TILE_SIZE, _CONFIGURATION, _BITS, _COLOURS = range(1, 6)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def full(name: bytes, version: int, flags: int, content: bytes) -> bytes:
    return box(name, bytes([version]) + flags.to_bytes(3, "big") + content)


def associations(items: dict[int, Iterable[int]], *, wide: bool = False) -> bytes:
    number = "H" if wide else "B"
    entries = [
        struct.pack(f">HB{len(found)}{number}", item, len(found), *found)
        for item, properties in items.items()
        if (found := list(properties))
    ]
    return full(b"ipma", 0, wide, struct.pack(">I", len(entries)) + b"".join(entries))


def tile(colour: tuple[int, ...]) -> tuple[bytes, bytes, bytes]:
    """The configuration, the number of bits and the data of a picture of 64 x 64 pixels."""
    image = (pyvips.Image.black(64, 64, bands=3) + list(colour)).cast("uchar").copy(interpretation="srgb")
    body = bytes(image.heifsave_buffer(compression="av1", lossless=True, keep="none"))
    with mmap(-1, len(body)) as data:
        data[:] = body
        found = {each.name: each for each in boxes(data)}
    whole = (body[found[name].body - 8 : found[name].end] for name in (b"av1C", b"pixi"))
    return *whole, body[found[b"mdat"].body : found[b"mdat"].end]


def grid(colour: tuple[int, ...], coloured: tuple[int, ...], primaries: int, transfer: int, *, tables: int) -> bytes:
    """Two pictures side by side. Those in `coloured` have the code points. Associations are in one or two tables."""
    configuration, bits, data = tile(colour)
    sizes = [full(b"ispe", 0, 0, struct.pack(">II", width, 64)) for width in (128, 64)]
    colours = box(b"colr", b"nclx" + struct.pack(">HHHB", primaries, transfer, 0, 0x80))
    common = {_GRID: [_GRID_SIZE, _BITS], **{item: [_TILE_SIZE, _CONFIGURATION, _BITS] for item in _TILES}}
    items = {item: [*found, *([_COLOURS] if item in coloured else [])] for item, found in common.items()}
    listed = [associations(items)]
    if tables > 1:
        listed = [associations({_GRID: items.pop(_GRID)}), associations(items, wide=True)]
    properties = box(b"iprp", box(b"ipco", b"".join([*sizes, configuration, bits, colours])) + b"".join(listed))
    kinds = {_GRID: b"grid", **dict.fromkeys(_TILES, b"av01")}
    entries = [full(b"infe", 2, 0, struct.pack(">HH4sB", item, 0, kind, 0)) for item, kind in kinds.items()]
    layout = bytes([0, 0, 0, 1]) + struct.pack(">HH", 128, 64)

    def meta(place: int) -> bytes:
        places = [(_GRID, 1, 0, len(layout)), *((item, 0, place, len(data)) for item in _TILES)]
        located = b"".join(struct.pack(">HHHHII", item, how, 0, 1, at, size) for item, how, at, size in places)
        parts = [
            full(b"hdlr", 0, 0, struct.pack(">I4s13x", 0, b"pict")),
            full(b"pitm", 0, 0, struct.pack(">H", _GRID)),
            full(b"iloc", 1, 0, bytes([0x44, 0]) + struct.pack(">H", len(places)) + located),
            full(b"iinf", 0, 0, struct.pack(">H", len(entries)) + b"".join(entries)),
            full(b"iref", 0, 0, box(b"dimg", struct.pack(">HHHH", _GRID, 2, *_TILES))),
            properties,
            box(b"idat", layout),
        ]
        return full(b"meta", 0, 0, b"".join(parts))

    start = box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")
    return start + meta(len(start) + len(meta(0)) + 8) + box(b"mdat", data)


@pytest.mark.parametrize("tables", [1, 2])
@pytest.mark.parametrize("coloured", [_TILES, (_GRID,), (_GRID, *_TILES)], ids=["tiles", "grid", "both"])
@pytest.mark.parametrize("query", ["rotate=90", "thumb=20"])
def test_wherever_the_code_points_are(tmp_path: Path, query: str, coloured: tuple[int, ...], tables: int) -> None:
    for colour, codes, wanted in ((COLOUR, (12, 13), IN_P3), ((148, 148, 148), (9, 16), (229, 229, 229))):
        found = values(rendered(tmp_path, grid(colour, coloured, *codes, tables=tables), query))
        assert np.abs(found[5, 5].astype(int) - wanted).max() <= 1
