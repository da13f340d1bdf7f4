"""Writes GIF files block by block, and shows them as browsers do: an encoder and a compositor of our own.

The reference is GIF89a, and where browsers (Chrome's Wuffs, Firefox) differ from it, they: the background colour is
ignored, cleared and undrawn areas are transparent, and the canvas is the screen and the first frame together.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

KEEP, CLEAR, RESTORE = 1, 2, 3
"""Disposals: what happens to a frame before the next one is drawn."""
_CLEAR_CODE, _END, _CODE_BITS = 256, 257, 9
_MOST_BITS, _MOST_CODES = 12, 4096
_RUN = 247
"""Indices between two clear codes. With the code itself, they fill whole bytes."""


@dataclass(frozen=True)
class Frame:
    """A frame: its indices, its place, and how it is disposed of."""

    pixels: np.ndarray
    left: int = 0
    top: int = 0
    disposal: int = 0
    transparent: int | None = None
    palette: bytes = b""
    """The local colour table; empty for the global one."""
    interlaced: bool = False
    control: bool = True
    """Whether it has a graphic control extension."""
    delay: int = 10


def gif(
    screen: tuple[int, int],
    frames: list[Frame],
    palette: bytes = b"",
    background: int = 0,
    tail: bytes = b";",
) -> bytes:
    """A GIF file. `tail` is what follows the last frame."""
    parts = [b"GIF89a", struct.pack("<HHBBB", *screen, _table_flags(palette), background, 0), palette]
    if len(frames) > 1:
        parts.append(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")
    for frame in frames:
        if frame.control:
            flags = frame.disposal << 2 | (frame.transparent is not None)
            parts.append(b"\x21\xf9\x04" + struct.pack("<BHBB", flags, frame.delay, frame.transparent or 0, 0))
        height, width = frame.pixels.shape
        flags = _table_flags(frame.palette) | (0x40 if frame.interlaced else 0)
        parts.append(b"," + struct.pack("<HHHHB", frame.left, frame.top, width, height, flags))
        parts.append(frame.palette)
        rows = frame.pixels[_order(height)] if frame.interlaced else frame.pixels
        parts.append(_packed(rows.tobytes()))
    return b"".join(parts) + tail


def _table_flags(palette: bytes) -> int:
    entries = len(palette) // 3
    return 0x80 | (max(1, (entries - 1).bit_length()) - 1) if entries else 0


def _order(height: int) -> list[int]:
    """The rows of an interlaced frame in the order of the file (GIF89a, appendix E)."""
    return [y for start, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for y in range(start, height, step)]


def _packed(pixels: bytes) -> bytes:
    """LZW without compression: codes of 9 bits, and a clear code before they would get longer (GIF89a, appendix F)."""
    coded = b""
    for start in range(0, len(pixels), _RUN):
        last = [_END] if start + _RUN >= len(pixels) else []
        codes = [_CLEAR_CODE, *pixels[start : start + _RUN], *last]
        bits = sum(code << _CODE_BITS * place for place, code in enumerate(codes))
        coded += bits.to_bytes(-(-_CODE_BITS * len(codes) // 8), "little")
    blocks = [coded[start : start + 255] for start in range(0, len(coded), 255)]
    return b"\x08" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def shown(body: bytes) -> list[np.ndarray]:
    """What a browser shows: each frame as height x width x 4, with straight alpha."""
    width, height, palette, frames = parsed(body)
    first = frames[0]
    width = max(width, first.left + first.pixels.shape[1])
    height = max(height, first.top + first.pixels.shape[0])
    canvas = np.zeros((height, width, 4), np.uint8)
    results = []
    for frame in frames:
        before = canvas.copy()
        table = np.frombuffer((frame.palette or palette).ljust(768, b"\0"), np.uint8).reshape(256, 3)
        inside = frame.pixels[: max(0, height - frame.top), : max(0, width - frame.left)]
        area = canvas[frame.top : frame.top + inside.shape[0], frame.left : frame.left + inside.shape[1]]
        drawn = np.ones(inside.shape, bool) if frame.transparent is None else inside != frame.transparent
        area[drawn, :3] = table[inside[drawn]]
        area[drawn, 3] = 255
        results.append(canvas.copy())
        if frame.disposal == CLEAR:
            area[:] = 0
        elif frame.disposal in {RESTORE, 4}:
            canvas = before
    return results


def parsed(body: bytes) -> tuple[int, int, bytes, list[Frame]]:
    """The screen, the global colour table and the frames of a file."""
    width, height, flags = struct.unpack_from("<HHB", body, 6)
    palette, position = _table(body, 13, flags)
    frames, control = [], Frame(np.zeros((0, 0), np.uint8))
    while position < len(body) and body[position] in b"\x21,":
        if body[position] == 0x21:
            label, position = body[position + 1], position + 2
            content, position = _blocks(body, position)
            if label == 0xF9:
                flags, delay, index = struct.unpack_from("<BHB", content)
                transparent = index if flags & 1 else None
                control = replace(control, disposal=flags >> 2 & 7, delay=delay, transparent=transparent)
            continue
        left, top, across, down, flags = struct.unpack_from("<HHHHB", body, position + 1)
        table, position = _table(body, position + 10, flags)
        bits = body[position]
        content, position = _blocks(body, position + 1)
        values = bytes(_unpacked(content, bits))[: across * down]
        rows = np.frombuffer(values, np.uint8).reshape(down, across)
        pixels = rows.copy()
        if flags & 0x40:
            pixels[_order(down)] = rows
        frames.append(replace(control, pixels=pixels, left=left, top=top, palette=table, interlaced=bool(flags & 0x40)))
        control = Frame(np.zeros((0, 0), np.uint8))
    return width, height, palette, frames


def _table(body: bytes, position: int, flags: int) -> tuple[bytes, int]:
    end = position + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    return body[position:end], end


def _blocks(body: bytes, position: int) -> tuple[bytes, int]:
    content = b""
    while length := body[position]:
        content += body[position + 1 : position + 1 + length]
        position += 1 + length
    return content, position + 1


def _unpacked(coded: bytes, bits: int) -> Iterator[int]:
    clear, end = 1 << bits, (1 << bits) + 1
    table: list[bytes] = []
    waiting, held, size, previous = 0, 0, bits + 1, b""
    for byte in coded:
        waiting |= byte << held
        held += 8
        while held >= size:
            code, waiting, held = waiting & (1 << size) - 1, waiting >> size, held - size
            if code == clear:
                table = [bytes([value]) for value in range(clear)] + [b"", b""]
                size, previous = bits + 1, b""
                continue
            if code == end:
                return
            entry = table[code] if code < len(table) else previous + previous[:1]
            yield from entry
            if previous and len(table) < _MOST_CODES:
                table.append(previous + entry[:1])
            if len(table) == 1 << size and size < _MOST_BITS:
                size += 1
            previous = entry
