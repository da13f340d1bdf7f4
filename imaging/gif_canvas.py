"""Makes libnsgif show a GIF as browsers do (docs/adr/0062).

Browsers ignore the background colour: what no frame has drawn, and what a frame with disposal 2 leaves behind, is
transparent. libnsgif fills with the background colour unless the frame that it clears has a transparent colour, libvips
has an alpha band only if some frame has one, and for screens of some sizes, such as 640 x 480, the first frame alone
decides how large the canvas is.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap

from imaging.gif_blocks import CONTROL, EXTENSION, IMAGE, TRAILER, Block, Place, blocks, canvas, place
from imaging.readable import Readable

_KEEP, _CLEAR, _RESTORE = 1, 2, {3, 4}
"""Disposals. Browsers read 4 as 3."""
_DISPOSAL, _TRANSPARENT = 0b11100, 1
_ONE_TRANSPARENT_PIXEL = b"\x02\x02\x44\x01\0"


@dataclass(frozen=True, slots=True)
class _Frame:
    block: Block
    place: Place
    flags: int
    """Of the extension before it."""
    flags_at: int

    @property
    def disposal(self) -> int:
        return (self.flags & _DISPOSAL) >> 2

    @property
    def opaque(self) -> bool:
        return not self.flags & _TRANSPARENT

    def replaces(self, other: "_Frame") -> bool:
        """Whether nothing can be seen of the place of `other` under this frame."""
        return self.opaque and self.place.covers(other.place)


def corrected(data: mmap) -> Readable:
    """A copy in which libnsgif finds what it needs, or the file itself if it gets that right.

    Two kinds of invisible frames do it. One in front, without pixels, spans the canvas and has a transparent colour.
    One after each frame with disposal 2, in the same place, is cleared in its stead. Bytes after the last frame go:
    libnsgif looks for a frame there.
    """
    frames, end = _frames(data)
    if not frames:
        return Readable(data)
    area = canvas(data, frames[0].place)
    cleared = {number for number, frame in enumerate(frames) if _shows_background(frames[number:])}
    opaque = all(frame.opaque for frame in frames)
    if cleared or not frames[0].place.covers(area) or (opaque and not _fills(frames, area)):
        pages, parts = _copied(data, frames, cleared, area)
        return Readable(b"".join([*parts, bytes([TRAILER])]), pages)
    if end + 1 < len(data):
        return Readable(data[:end] + bytes([TRAILER]))
    return Readable(data)


def _frames(data: mmap) -> tuple[list[_Frame], int]:
    """All frames, and the end of the last one."""
    frames: list[_Frame] = []
    flags = flags_at = end = 0
    for block in blocks(data):
        if block.introducer == IMAGE:
            frames.append(_Frame(block, place(data, block), flags, flags_at))
            flags = flags_at = 0
            end = block.end
        elif block.introducer == EXTENSION and data[block.start + 1] == CONTROL:
            flags_at = block.start + 3
            flags = flags & _TRANSPARENT | data[flags_at]  # as libnsgif reads several in a row
    return frames, end


def _shows_background(frames: Sequence[_Frame]) -> bool:
    """Whether libnsgif shows the background colour in the place of the first of these frames after that."""
    frame, *following = frames
    clears = frame.disposal == _CLEAR and frame.opaque
    return clears and bool(following) and not following[0].replaces(frame)


def _fills(frames: Sequence[_Frame], area: Place) -> bool:
    """Whether opaque frames leave nothing of `area` empty at any time."""
    full = False
    """Whether all of it is drawn before the next frame."""
    for frame, following in zip(frames, [*frames[1:], None], strict=True):
        before, full = full, full or frame.place.covers(area)
        if not full:
            return False
        if frame.disposal in _RESTORE:
            full = before
        elif frame.disposal == _CLEAR:
            full = following is not None and following.replaces(frame)
    return True


def _copied(
    data: mmap, frames: Sequence[_Frame], cleared: set[int], area: Place
) -> tuple[Sequence[int], Iterator[bytes]]:
    """The number of each frame in the copy, and the parts of the copy."""
    before = [sum(number < each for number in cleared) for each in range(len(frames))]
    return [1 + number + extra for number, extra in enumerate(before)], _parts(data, frames, cleared, area)


def _parts(data: mmap, frames: Sequence[_Frame], cleared: set[int], area: Place) -> Iterator[bytes]:
    position = next(blocks(data)).start
    yield data[:position]
    yield _invisible(Place(area.right, area.bottom, area.right, area.bottom), _KEEP)
    for number, frame in enumerate(frames):
        if number in cleared:
            yield data[position : frame.flags_at]
            yield bytes([data[frame.flags_at] & ~_DISPOSAL | _KEEP << 2])
            position = frame.flags_at + 1
        yield data[position : frame.block.end]
        position = frame.block.end
        if number in cleared:
            yield _invisible(frame.place, _CLEAR)


def _invisible(where: Place, disposal: int) -> bytes:
    """A frame that draws nothing."""
    control = struct.pack("<BBBBHBB", EXTENSION, CONTROL, 4, disposal << 2 | _TRANSPARENT, 0, 0, 0)
    size = where.right - where.left, where.bottom - where.top
    return control + struct.pack("<BHHHHB", IMAGE, where.left, where.top, *size, 0) + _ONE_TRANSPARENT_PIXEL
