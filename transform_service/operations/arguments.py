"""The types of operations' arguments: from the text in a URL, and back."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from imaging.geometry import PLACES, Box

MAX_SIDE = 16_383
_NUMBER = re.compile(r"[+-]?([0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15})")
_WHOLE = re.compile(r"[0-9]{1,18}")
_BOX = re.compile(r"([0-9]{0,9})[xX]([0-9]{0,9})|([0-9]{1,9})")
_SIDES = {"top": "north", "bottom": "south", "left": "west", "right": "east"}
"""As in CSS and in other services."""


def _number(text: object) -> float:
    if isinstance(text, str) and not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number such as 90 or 2.5")
    return float(str(text))


def _whole(text: object) -> int:
    if isinstance(text, str) and not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number such as 300")
    return int(str(text))


def _box(text: object, *, width_alone: bool = True) -> Box:
    if isinstance(text, Box):
        return text
    match = _BOX.fullmatch(str(text))
    if not match or not any(match.groups()) or (match[3] and not width_alone):
        raise ValueError(f"{text!r} is not a size such as 300x200, 300x or x200")
    width, height, only = match.groups()
    sides = [int(digits) if digits else None for digits in (only or width, height)]
    if any(side is not None and not 1 <= side <= MAX_SIDE for side in sides):
        raise ValueError(f"{text!r} has a side outside of 1 to {MAX_SIDE} pixels")
    return Box(*sides)


def _closed(box: Box) -> Box:
    if box.width is None or box.height is None:
        raise ValueError(f"'{box}' lacks a side; give both, such as 300x200")
    return box


def parse_place(text: object, *more: str) -> str:
    """A key of PLACES, in British or American spelling, a side, or one of `more`. Raises ValueError for others."""
    place = str(text).lower().replace("center", "centre")
    place = _SIDES.get(place, place)
    if place not in (*PLACES, *more):
        raise ValueError(f"{text!r} is not a place; use one of: {', '.join((*PLACES, *more))}")
    return place


Number = Annotated[float, BeforeValidator(_number)]
"""A decimal number without an exponent; never NaN or infinite."""
Pixels = Annotated[int, BeforeValidator(_whole)]
"""A whole number of pixels."""
OpenBox = Annotated[
    Box, BeforeValidator(_box), WithJsonSchema({"type": "string", "pattern": "^([0-9]+(x[0-9]*)?|x[0-9]+)$"})
]
"""`WxH`, `Wx` (or `W`) or `xH`."""
ClosedBox = Annotated[
    Box,
    BeforeValidator(lambda text: _closed(_box(text, width_alone=False))),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+x[0-9]+$"}),
]
"""`WxH`."""
Place = Annotated[str, BeforeValidator(parse_place), WithJsonSchema({"type": "string", "enum": [*PLACES]})]
"""A key of PLACES."""


def canonical(value: Any) -> str:
    """The canonical text of an argument, with as few digits as possible."""
    if not isinstance(value, float):
        return str(value)
    text = f"{Decimal(repr(value)):f}"  # the shortest text with the same value, without an exponent
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
