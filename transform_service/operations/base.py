"""The base class of operations, and the registry of operations."""

import enum
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

import transform_service.operations
from imaging.encoding import Encoding
from imaging.geometry import Frame, Point, Size
from imaging.types import Image
from service_kit.invalid import reason
from service_kit.plugins import discover
from transform_service.operations.arguments import canonical


class BadArgument(ValueError):
    """An argument is missing, unexpected or invalid. The text says which one and why."""


class Reads(enum.Enum):
    """The input pixels that a step reads: decides if it can follow a decoder, a pipeline, or only pixels in memory."""

    POINT = enum.auto()
    """Only the pixel at the same position."""
    ROWS = enum.auto()
    """Rows from top to bottom, each once. Like POINT, it can be fused with anything before it."""
    WINDOW = enum.auto()
    """Rows from top to bottom, each several times. A decoder can stream into it, a pipeline cannot."""
    AREA = enum.auto()
    """Any pixels, in any order, more than once."""


class Overlays(Protocol):
    """The overlays that operations name, and colours, in renderer processes."""

    def size(self, image_id: str) -> Size:
        """The size of an overlay, upright."""

    def load(self, image_id: str, target: Size) -> Image:
        """Decode an overlay, upright, scaled to `target`."""

    def colour(self, red: int, green: int, blue: int) -> list[float]:
        """A colour in sRGB, in the colours of the image."""


class Operation(BaseModel):
    """An operation of a chain. Its fields, in order, are the comma-separated arguments in the URL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    examples: ClassVar[tuple[str, ...]]
    """Complete pairs as in a URL, for the documentation and for the contract test."""
    reads: ClassVar[Reads] = Reads.AREA
    """Which input pixels one pixel of the result needs, unless a class overrides reading()."""
    cost: ClassVar[float] = 10.0
    """Nanoseconds for one pixel, unless a class overrides nanoseconds()."""

    # From text, and back.

    @classmethod
    def parse(cls, text: str) -> Self:
        """The operation with the arguments in `text`. Raises BadArgument if they are invalid."""
        try:
            switch = text in _ON and not cls.model_fields
            return cls(**cls.named(text.split(",") if text and not switch else []))
        except ValidationError as error:
            raise BadArgument(_reason(error)) from error

    @classmethod
    def named(cls, values: list[str]) -> dict[str, Any]:
        """The fields for the comma-separated `values`: in order, unless a class overrides this."""
        names = list(cls.model_fields)
        if len(values) > len(names):
            most = f"at most {len(names)}" if len(names) > 1 else len(names) or "no"
            raise BadArgument(f"takes {most} argument{'s' * (len(names) != 1)}, not {len(values)}")
        return dict(zip(names, values, strict=False))

    def arguments(self) -> str:
        """The canonical text of the arguments."""
        return ",".join(canonical(getattr(self, name)) for name in type(self).model_fields)

    def __str__(self) -> str:
        """The canonical text of the whole pair. It is the same for the same effect, and only then."""
        return f"{self.name}={self.arguments()}" if type(self).model_fields else self.name

    # Known before any pixel is computed.

    def output_size(self, size: Size) -> Size:
        """The size of the result for an input of `size`. Raises BadRequest if the operation does not fit that input."""
        return size

    def adds_transparency(self) -> bool:
        """Whether the result has new transparent pixels (corners, margins)."""
        return False

    def output(self, frame: Frame) -> Frame:
        """What is known about the result, given what is known about the input."""
        return Frame(self.output_size(frame.size), frame.alpha or self.adds_transparency(), frame.exact)

    def resolve(self, frame: Frame) -> "Steps":
        """Simpler steps with the same effect on such a frame; () if there is no effect.

        The planner calls this with an exact frame, and again on the steps returned, until they do not change.
        """
        return (self,)

    def nanoseconds(self) -> float:
        """The approximate nanoseconds of one core per pixel of the input, or of the result if that has more pixels."""
        return self.cost

    def reading(self) -> Reads:
        """Which input pixels one pixel of the result needs."""
        return self.reads

    def encoding(self, encoding: Encoding) -> Encoding:
        """The encoding as this step changes it."""
        return encoding

    def keeps_gain_map(self) -> bool:
        """Whether a gain map still fits the result: if pixels only move. The operation then has `apply_to_map`."""
        return False

    def overlays(self) -> tuple[str, ...]:
        """The IDs of the overlays that this step needs."""
        return ()

    def overlay_size(self, overlay: Size, size: Size) -> Size:
        """The size that an overlay gets on an image of `size`."""
        return overlay

    def moved(self, point: Point, size: Size) -> Point | None:
        """Where a point of an input of `size` is in the result, if it is not cut off; None if the pixels decide."""
        return point

    def may_change(self) -> bool:
        """Whether the result depends on what is said about the image, which may change."""
        return False

    # Computing pixels, in renderer processes.

    def decides(self) -> bool:
        """Whether the pixels decide what the step does. It then has `decided` instead of `apply`."""
        return False

    def decided(self, frames: Sequence[Image]) -> "Steps":
        """The steps that the pixels of all frames decide on. The frames have the same size, and are in memory."""
        return (self,)

    def apply(self, image: Image) -> Image:
        """Compute the result.

        Input and result are one upright frame: 8 bits per band, sRGB or grey, with or without alpha.
        """
        return image

    def apply_to_map(self, gain_map: Image, size: Size) -> Image:
        """The same for the gain map of an image of `size`: a smaller picture of the same area."""
        return self.apply(gain_map)

    def apply_with(self, image: Image, overlays: Overlays) -> Image:
        """Like `apply`, for operations that need overlays or colours."""
        return self.apply(image)


_ON = {"1", "true"}
"""The value of an operation without arguments, as some libraries write it."""
Steps = tuple[Operation, ...]
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


def explained(error: ErrorDetails) -> str:
    """What is wrong with an argument: the part of a sentence behind its name."""
    got = "" if error["type"] == "value_error" else f", not {error['input']}"  # such an error quotes the input itself
    return f"{reason(error)}{got}"


def _reason(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"`{field}` is missing"
    what = explained(first)
    return what if f" is not a {field};" in what else f"{field} {what}"
