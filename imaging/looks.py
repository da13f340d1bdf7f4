"""What an image looks like, in a few bytes: its colours, a ThumbHash to show while it loads, and a perceptual hash.

Pure functions of pixels, for worker processes. All pixels are RGBA, 8 bits each, row by row.
"""

import base64
import colorsys
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import IntEnum
from operator import mul

from pydantic import BaseModel, ConfigDict

SIDE = 64
"""The longer side of the picture that is looked at."""
HASH_SIDE = 32
"""Both sides of the grey picture for the perceptual hash, and the longer side of that for the ThumbHash."""
_FREQUENCIES = 8
_SHARE = 0.15
"""A colour that has this share of the pixels is one of the image."""
_VISIBLE = 128
_FLAT = 64.0
"""A lowest frequency of a grey picture that nobody sees: it moves its pixels by less than an eighth of a step."""
_HASH_BITS = _FREQUENCIES * _FREQUENCIES

Pixel = tuple[int, int, int, int]


class Colour(IntEnum):
    """Basic colour terms (Berlin and Kay, 1969), by their bit in a set."""

    BLACK = 1
    WHITE = 2
    GREY = 4
    RED = 8
    ORANGE = 16
    YELLOW = 32
    GREEN = 64
    BLUE = 128
    PURPLE = 256
    PINK = 512
    BROWN = 1024


class Look(BaseModel):
    """What an image looks like."""

    model_config = ConfigDict(frozen=True)

    colour: int | None
    """The dominant colour, as 0xRRGGBB; None if all is transparent."""
    colours: int
    """The set of its basic colours."""
    thumbhash: str
    """In base64 (evanw.github.io/thumbhash)."""
    phash: int | None
    """64 bits that are mostly the same for pictures that look the same; None for a picture without anything on it."""


def look(pixels: Sequence[Pixel], small: tuple[int, int, Sequence[Pixel]], grey: Sequence[int]) -> Look:
    """The look of an image of these pixels.

    `small` is the width, the height and the pixels of a smaller copy, and `grey` the luminance of a copy of HASH_SIDE
    by HASH_SIDE pixels.
    """
    visible = [pixel[:3] for pixel in pixels if pixel[3] >= _VISIBLE]
    colour = _dominant(visible) if visible else None
    return Look(
        colour=colour,
        colours=_colours(visible, colour),
        thumbhash=base64.b64encode(thumbhash(*small)).decode(),
        phash=perceptual_hash(grey),
    )


def _dominant(visible: Sequence[tuple[int, int, int]]) -> int:
    """The mean of the most frequent colours that differ by less than a sixteenth."""
    bins: dict[tuple[int, ...], list[tuple[int, int, int]]] = {}
    for pixel in visible:
        bins.setdefault(tuple(value >> 4 for value in pixel), []).append(pixel)
    most = max(bins.values(), key=len)
    red, green, blue = (round(sum(values) / len(most)) for values in zip(*most, strict=True))
    return int(red << 16 | green << 8 | blue)


def _colours(visible: Sequence[tuple[int, int, int]], dominant: int | None) -> int:
    if dominant is None:
        return 0
    found = {basic_colour(dominant >> 16, dominant >> 8 & 255, dominant & 255)}
    counts = Counter(basic_colour(*pixel) for pixel in visible)
    return sum(found | {colour for colour, number in counts.items() if number >= _SHARE * len(visible)})


def basic_colour(red: int, green: int, blue: int) -> Colour:
    """What people call a colour."""
    hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    if value < 0.16:  # noqa: PLR2004
        return Colour.BLACK
    if saturation < 0.13:  # noqa: PLR2004
        return Colour.WHITE if value > 0.9 else Colour.GREY  # noqa: PLR2004
    is_light, is_dark = value > 0.75 and saturation < 0.5, value < 0.6  # noqa: PLR2004
    by_hue: Iterable[tuple[float, Colour]] = (
        (14, Colour.PINK if is_light else Colour.RED),
        (44, Colour.BROWN if is_dark else Colour.ORANGE),
        (68, Colour.BROWN if value < 0.4 else Colour.YELLOW),  # noqa: PLR2004
        (168, Colour.GREEN),
        (256, Colour.BLUE),
        (292, Colour.PURPLE),
        (344, Colour.PURPLE if is_dark else Colour.PINK),
        (361, Colour.PINK if is_light else Colour.RED),
    )
    return next(colour for end, colour in by_hue if hue * 360 < end)


def perceptual_hash(grey: Sequence[int]) -> int | None:
    """Which of the lowest frequencies of a picture are above their median (Zauner, 2010), as a signed 64-bit number.

    None if there are none, as in a picture of one colour: their order would be that of rounding errors.
    """
    cosines = [
        [math.cos(math.pi / HASH_SIDE * frequency * (place + 0.5)) for place in range(HASH_SIDE)]
        for frequency in range(_FREQUENCIES)
    ]
    rows = [grey[start : start + HASH_SIDE] for start in range(0, HASH_SIDE * HASH_SIDE, HASH_SIDE)]
    across = [[sum(map(mul, row, cosine)) for cosine in cosines] for row in rows]
    values = [
        sum(across[place][column] * cosine[place] for place in range(HASH_SIDE))
        for cosine in cosines
        for column in range(_FREQUENCIES)
    ]
    if max(map(abs, values[1:])) < _FLAT:
        return None
    median = sorted(values[1:])[(_HASH_BITS - 1) // 2]  # the first is the brightness
    bits = sum(1 << number for number, value in enumerate(values) if value > median)
    return bits - (1 << _HASH_BITS) if bits >> (_HASH_BITS - 1) else bits


def thumbhash(width: int, height: int, pixels: Sequence[Pixel]) -> bytes:
    """The ThumbHash of a picture of at most 100 by 100 pixels (evanw.github.io/thumbhash)."""
    number = width * height
    opaque = sum(pixel[3] for pixel in pixels) / 255
    mean = [sum(pixel[band] * pixel[3] for pixel in pixels) / 65025 / opaque if opaque else 0.0 for band in range(3)]
    has_alpha = opaque < number
    channels: tuple[list[float], ...] = ([], [], [], [])
    for pixel in pixels:
        alpha = pixel[3] / 255
        red, green, blue = (mean[band] * (1 - alpha) + alpha / 255 * pixel[band] for band in range(3))
        for channel, value in zip(
            channels, ((red + green + blue) / 3, (red + green) / 2 - blue, red - green, alpha), strict=True
        ):
            channel.append(value)
    limit = 5 if has_alpha else 7
    across = max(1, _rounded(limit * width / max(width, height)))
    down = max(1, _rounded(limit * height / max(width, height)))
    light, yellow, red_green = (
        _encoded(channel, width, height, *size)
        for channel, size in zip(channels, ((max(3, across), max(3, down)), (3, 3), (3, 3)), strict=False)
    )
    is_landscape = width > height
    first = (
        _rounded(63 * light[0])
        | _rounded(31.5 + 31.5 * yellow[0]) << 6
        | _rounded(31.5 + 31.5 * red_green[0]) << 12
        | _rounded(31 * light[2]) << 18
        | has_alpha << 23
    )
    second = (
        (down if is_landscape else across)
        | _rounded(63 * yellow[2]) << 3
        | _rounded(63 * red_green[2]) << 9
        | is_landscape << 15
    )
    head = first.to_bytes(3, "little") + second.to_bytes(2, "little")
    parts = [*light[1], *yellow[1], *red_green[1]]
    if has_alpha:
        alpha_part = _encoded(channels[3], width, height, 5, 5)
        head += bytes([_rounded(15 * alpha_part[0]) | _rounded(15 * alpha_part[2]) << 4])
        parts += alpha_part[1]
    nibbles = [_rounded(15 * part) for part in parts] + [0] * (len(parts) % 2)
    return head + bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def _encoded(channel: Sequence[float], width: int, height: int, nx: int, ny: int) -> tuple[float, list[float], float]:
    """The mean, the frequencies from 0 to 1, and their scale."""
    rows = [channel[start : start + width] for start in range(0, width * height, width)]
    mean, parts = 0.0, []
    across = [[math.cos(math.pi / width * cx * (x + 0.5)) for x in range(width)] for cx in range(nx)]
    by_row = [[sum(map(mul, row, cosine)) for cosine in across] for row in rows]
    for cy in range(ny):
        down = [math.cos(math.pi / height * cy * (y + 0.5)) for y in range(height)]
        cx = 0
        while cx * ny < nx * (ny - cy):
            value = sum(down[y] * by_row[y][cx] for y in range(height)) / (width * height)
            if cx or cy:
                parts.append(value)
            else:
                mean = value
            cx += 1
    scale = max(map(abs, parts), default=0.0)
    return mean, [0.5 + 0.5 / scale * part for part in parts] if scale else parts, scale


def _rounded(value: float) -> int:
    """As JavaScript rounds."""
    return math.floor(value + 0.5)
