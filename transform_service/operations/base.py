"""What an operation is, and the registry of them."""

import enum
import re
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

import transform_service.operations
from service_kit.plugins import discover
from transform_service.encoding import Encoding
from transform_service.geometry import Size

if TYPE_CHECKING:
    from pathlib import Path

    import pyvips

_NUMBER = re.compile(r"[+-]?([0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15})")
_WHOLE = re.compile(r"[0-9]{1,9}")


class BadArgument(ValueError):
    """An operation's argument is missing, superfluous or out of range; the text says which and why."""


def _number(text: object) -> float:
    if isinstance(text, str) and not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number such as 90 or 2.5")
    return float(str(text))


def _whole(text: object) -> int:
    if isinstance(text, str) and not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(str(text))


Number = Annotated[float, BeforeValidator(_number)]
"""A decimal number; no exponent, no NaN, no infinity."""
Pixels = Annotated[int, BeforeValidator(_whole)]
"""A whole number of pixels."""


class Reads(enum.Enum):
    """What a step reads decides what may stand before it: a decoder, a pipeline, or pixels in memory."""

    POINT = enum.auto()
    """The pixel at the same place: can be fused with whatever stands before it."""
    ROWS = enum.auto()
    """Rows from top to bottom: a decoder can be streamed through it."""
    AREA = enum.auto()
    """Any pixels, in any order, more than once."""


class Operation(BaseModel):
    """One step of a chain. Its fields, in order, are the URL's arguments, separated by commas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    examples: ClassVar[tuple[str, ...]]
    """Complete pairs as they stand in a URL: for the documentation and for the contract test."""
    reads: ClassVar[Reads] = Reads.AREA
    """Which pixels of its input one pixel of the result needs."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The operation with the arguments in `text`; BadArgument says what is wrong with them."""
        names = list(cls.model_fields)
        values = text.split(",") if text else []
        if len(values) > len(names):
            raise BadArgument(f"takes {len(names)} argument(s), got {len(values)}")
        try:
            return cls(**dict(zip(names, values, strict=False)))
        except ValidationError as error:
            raise BadArgument(_reason(error)) from error

    def arguments(self) -> str:
        """The canonical text of the arguments."""
        return ",".join(_canonical(getattr(self, name)) for name in type(self).model_fields)

    def __str__(self) -> str:
        """The canonical text of the whole pair: equal for equal effects, different for different ones."""
        return f"{self.name}={self.arguments()}" if type(self).model_fields else self.name

    def output_size(self, size: Size) -> Size:
        """The size of the result for an input of `size`, known before any pixel is."""
        return size

    def adds_transparency(self) -> bool:
        """Whether the result has transparent pixels where the input had none (new corners, new margins)."""
        return False

    def encoding(self, encoding: Encoding) -> Encoding:
        """What this step makes of the encoder's settings."""
        return encoding

    def open(self, path: "Path", size: Size) -> "pyvips.Image | None":
        """Decode and apply this step at once, where that is cheaper than after a full decode; None where it is not.

        `path` is an image of one frame, `size` its size once it is upright.
        """
        return None  # the default of a value, not of a procedure

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """Compute the pixels: from and to one upright frame, 8 bits a band, sRGB or grey, perhaps with alpha."""
        return image


OPERATIONS: dict[str, type[Operation]] = {}
Class = TypeVar("Class", bound=type[Operation])


def operation(name: str) -> Callable[[Class], Class]:
    """Register an operation under its name in URLs."""

    def register(cls: Class) -> Class:
        cls.name = name
        OPERATIONS[name] = cls
        return cls

    return register


def load_operations() -> dict[str, type[Operation]]:
    """All operations by name."""
    discover(transform_service.operations)
    return OPERATIONS


def premultiplied(image: "pyvips.Image", treat: "Callable[[pyvips.Image], pyvips.Image]") -> "pyvips.Image":
    """`treat` an image so that what is transparent does not bleed its colour into what is not."""
    if not image.hasalpha():
        return treat(image)
    return treat(image.premultiply()).unpremultiply().cast(image.format)


def _canonical(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    text = f"{Decimal(repr(value)):f}"  # the shortest digits that give the same number, without an exponent
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _reason(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"needs a value for {field}"
    if first["type"] == "value_error":
        return f"{field}: {first['ctx']['error']}"
    return f"{field} {first['msg'].removeprefix('Input ')}, got {first['input']!r}"
