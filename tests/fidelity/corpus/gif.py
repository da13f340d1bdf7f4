"""A small GIF compositor (GIF89a, sections 18 to 23), with Pillow for nothing but the LZW data of one frame at a time.

Areas that no frame has drawn, or that were cleared, are transparent, as in browsers.
"""

import io
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

_EXTENSION, _IMAGE = 0x21, 0x2C
_CONTROL = 0xF9
_TO_BACKGROUND, _TO_PREVIOUS = 2, 3


def frames(data: bytes, most: int) -> Iterator[np.ndarray]:
    """The first frames as they are shown: height x width x RGBA."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    canvas = np.zeros((height, width, 4), np.uint8)
    for transparent, disposal, descriptor, pixels in _images(data, 13 + _table_bytes(flags), most):
        before = canvas.copy()
        left, top = struct.unpack_from("<HH", descriptor, 1)
        part = canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]]
        pixels = pixels[: part.shape[0], : part.shape[1]]  # noqa: PLW2901  # what lies outside of the screen is not shown
        seen = pixels[:, :, 3] != transparent
        part[seen] = np.dstack([pixels[:, :, :3], np.full(pixels.shape[:2], 255, np.uint8)])[seen]
        yield canvas.copy()
        if disposal == _TO_BACKGROUND:
            part[:] = 0
        elif disposal == _TO_PREVIOUS:
            canvas = before


def _images(data: bytes, position: int, most: int) -> Iterator[tuple[int, int, bytes, np.ndarray]]:
    """Transparent index or -1, disposal, descriptor, and pixels with the index as fourth band, of each image."""
    head, count = data[:position], 0
    transparent, disposal = -1, 0
    while count < most and position < len(data) and data[position] in {_EXTENSION, _IMAGE}:
        start, introducer = position, data[position]
        if introducer == _IMAGE:
            position += 11 + _table_bytes(data[position + 9])
        else:
            if data[position + 1] == _CONTROL:
                packed, index = data[position + 3], data[position + 6]
                transparent, disposal = index if packed & 1 else -1, packed >> 2 & 7
            position += 2
        while length := data[position]:
            position += length + 1
        position += 1
        if introducer == _IMAGE:
            yield transparent, disposal, data[start : start + 10], _alone(head, data[start:position])
            transparent, disposal = -1, 0
            count += 1


def _alone(head: bytes, image: bytes) -> np.ndarray:
    """The pixels of an image, as if it were the only one and covered the screen."""
    size = image[5:9]
    alone = head[:6] + size + head[10:] + image[:1] + bytes(4) + image[5:] + b";"
    decoded = Image.open(io.BytesIO(alone))
    decoded.load()
    index = np.asarray(decoded if decoded.mode in {"P", "L"} else decoded.convert("L"))
    colours = np.asarray(decoded.convert("RGB"))
    return np.dstack([colours, index])


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
