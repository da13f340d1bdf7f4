"""Other services' names for our operations. A query is rewritten before anything else reads it.

An alias becomes the text of its long form, so both have the same ETag and the same cached result.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from imaging.geometry import Box, round_half_up
from service_kit.suggestions import hint
from transform_service.operations.arguments import MAX_SIDE, Number, Pixels
from transform_service.operations.base import explained
from transform_service.operations.resize import ENLARGE, FITS
from transform_service.pairs import Pair

_MAX_RATIO = 8


@dataclass(frozen=True, slots=True)
class Alias:
    """Names for one operation or parameter. Its arguments stay as they are, apart from `values`."""

    names: tuple[str, ...]
    of: str
    example: str
    values: Mapping[str, str] = field(default_factory=dict)


RENAMED = (
    Alias(("q", "quality"), "compress", "q=75"),
    Alias(("bg",), "background", "bg=white"),
    Alias(("trim",), "autocrop", "trim", MappingProxyType({"auto": "", "color": "", "colour": ""})),
    Alias(("greyscale",), "grayscale", "greyscale"),
    Alias(("fm",), "format", "fm=webp"),
)
"""Aliases that stand for themselves."""

PARTS = MappingProxyType(
    {
        "width": Alias(("w", "width"), "resize", "w=300"),
        "height": Alias(("h", "height"), "resize", "h=200"),
        "fit": Alias(("fit",), "resize", "w=300&h=200&fit=cover"),
        "dpr": Alias(("dpr",), "resize", "w=300&h=200&dpr=2"),
    }
)
"""Aliases that are one `resize` together, by their field in _Sides."""

OTHER_FITS = MappingProxyType(
    {
        **dict.fromkeys(("clip", "max", "scale-down", "bounds"), "inside"),
        **dict.fromkeys(("crop", "min"), "cover"),
        **dict.fromkeys(("pad", "fillmax"), "contain"),
        **dict.fromkeys(("scale", "stretch", "squeeze"), "fill"),
    }
)
"""Other services' names for the fits of `resize`, by imgix, Cloudflare and Fastly. `fill` and `contain` are those of
CSS, sharp and weserv: imgix's `fill` is our `contain`, and Cloudflare's `contain` our `inside`."""

_RENAMED = {name: alias for alias in RENAMED for name in alias.names}
_PARTS = {name: part for part, alias in PARTS.items() for name in alias.names}
NAMES = (*_PARTS, *_RENAMED)
"""All aliases."""


def _fit(text: object) -> str:
    words = [OTHER_FITS.get(word, word) for word in str(text).lower().split(",")]
    for word in words:
        if word not in (*FITS, ENLARGE):
            raise ValueError(f"{word!r} is not a fit; {hint(word, (*FITS, ENLARGE, *OTHER_FITS))}")
    if len(words) - words.count(ENLARGE) > 1:
        raise ValueError(f"{text!r} has several fits; give only one")
    return ",".join(words)


_Side = Annotated[Pixels, Field(ge=1, le=MAX_SIDE)]


class _Sides(BaseModel):
    """The parts of a `resize`, in pixels for a screen of `dpr` 1."""

    model_config = ConfigDict(frozen=True)

    width: _Side | None = None
    height: _Side | None = None
    fit: Annotated[str, BeforeValidator(_fit)] | None = None
    dpr: Annotated[Number, Field(gt=0, le=_MAX_RATIO)] = 1.0

    def arguments(self) -> str:
        """The arguments of the `resize`. Raises ValueError if they are too large."""
        box = Box(*(side and max(1, round_half_up(side * self.dpr)) for side in (self.width, self.height)))
        if max(box.width or 0, box.height or 0) > MAX_SIDE:
            raise ValueError(f"the result would be {box} pixels; the limit is {MAX_SIDE} on each side")
        return f"{box},{self.fit}" if self.fit else str(box)


def rewritten(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """The pairs with our names.

    All of PARTS in a query are one `resize`, at the place of the first side. Raises BadRequest if they do not fit
    together.
    """
    pairs = list(pairs)
    parts: dict[str, Pair] = {}
    for pair in pairs:
        part = _PARTS.get(pair.name)
        if part in parts:
            raise pair.error(f"`{pair.name}` is a second {part}; give only one")
        if part:
            parts[part] = pair
    resize = _resize(parts) if parts else None
    for pair in pairs:
        if resize and pair.start == resize.start:
            yield resize
        elif pair.name not in _PARTS:
            yield _renamed(pair)


def _renamed(pair: Pair) -> Pair:
    alias = _RENAMED.get(pair.name)
    return replace(pair, name=alias.of, value=alias.values.get(pair.value, pair.value)) if alias else pair


def _resize(parts: Mapping[str, Pair]) -> Pair:
    sides = [parts[side] for side in ("width", "height") if side in parts]
    if not sides:
        pair = next(iter(parts.values()))
        raise pair.error(f"`{pair.name}` has no size to act on; add `w` or `h`")
    try:
        given = _Sides.model_validate({part: pair.value for part, pair in parts.items()})
    except ValidationError as error:
        first = error.errors()[0]
        part = str(first["loc"][0])
        reason = f"{parts[part].name}: {explained(first)}; example: {PARTS[part].example}"
        raise parts[part].error(reason, value_only=True) from error
    try:
        arguments = given.arguments()
    except ValueError as error:
        raise parts["dpr"].error(f"dpr: {error}", value_only=True) from error
    return replace(min(sides, key=lambda pair: pair.start), name=PARTS["width"].of, value=arguments)
