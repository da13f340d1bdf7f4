"""Levels: smaller copies of a stored image, from which a render starts if it only shrinks (docs/adr/0067)."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from imaging.formats import FORMATS, Format
from imaging.geometry import Size
from imaging.header import Header
from imaging.types import Image, Target

VERSION = 2
"""Increase it when levels are made differently. Those of other versions are not used, and removed first."""
SIDES: Mapping[int, int] = {480: 2000, 960: 2000, 1920: 3400}
"""The longer side of each level, in pixels, and that of the smallest image for which it is worth its bytes."""
_SPARE = 1.5
"""How many times longer each side of a level is than that of a result, at least. With less, what the level has lost
would show."""
_LEAST_SIDE = 64
"""The shorter side of a level, at least: of a narrower one, rounding would stretch the picture by more than 1 %."""
_QUALITIES = {480: 98, 960: 95, 1920: 94}
_JPEG, _PNG = "jpeg", "png"
_FASTEST, _SUB = 1, 1 << 4
"""PNG's compression, and the filter that is fast and good enough for photos (VIPS_FOREIGN_PNG_FILTER_SUB)."""


class Level(BaseModel):
    """A level that is stored. Exactly one of `path` (a local file) and `url` (http, trusted) is set."""

    model_config = ConfigDict(frozen=True)

    side: int
    """A key of SIDES."""
    header: Header
    bytes: int
    sha256: str
    """That of its own bytes, not of the image."""
    path: Path | None = None
    url: str | None = None


def sizes(header: Header) -> dict[int, Size]:
    """The size of each level that an image with this header can have, by its side, smallest first.

    A level is not turned: like the image, it needs its orientation applied. Images with several frames have none.
    """
    if header.frames > 1:
        return {}
    size = header.size
    scaled = {side: size.shrunk(size.longer / side) for side, least in SIDES.items() if size.longer >= least}
    return {side: size for side, size in scaled.items() if min(size.width, size.height) >= _LEAST_SIDE}


def smallest_for(target: Size, offered: Mapping[int, Size]) -> int | None:
    """The side of the smallest level that has enough pixels for a result of `target`; None if none has."""
    enough = target.scaled(_SPARE)
    return next((side for side, size in sorted(offered.items()) if size.contains(enough)), None)


def formats_of(header: Header) -> tuple[Format, ...]:
    """The formats that a level of an image can have: PNG if it has alpha and is not opaque everywhere."""
    return tuple(FORMATS[name] for name in ((_JPEG, _PNG) if header.alpha else (_JPEG,)))


def save(image: Image, target: Target, side: int) -> None:
    """Write a level. Runs in worker processes."""
    if image.hasalpha():
        image.pngsave_target(target, compression=_FASTEST, filter=_SUB, keep=0)
    else:
        # Without optimised tables: 5 ms instead of 14 for the largest, and a tenth more bytes.
        image.jpegsave_target(target, Q=_QUALITIES[side], subsample_mode="off", optimize_coding=False, keep=0)
