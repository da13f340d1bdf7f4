"""The base class of operations, and the registry of operations."""

import enum
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

import transform_service.operations
from imaging.encoding import Encoding
from imaging.geometry import Frame, Size
from imaging.types import Image
from service_kit.plugins import discover
from transform_service.operations.arguments import canonical


class BadArgument(ValueError):
    """An argument is missing, superfluous or invalid; the text says which one and why."""


class Reads(enum.Enum):
    """What a step reads decides what may come before it: a decoder, a pipeline, or pixels in memory."""

    POINT = enum.auto()
    """The pixel at the same position."""
    ROWS = enum.auto()
    """Rows from top to bottom, each once. Like POINT, it can be fused with anything before it."""
    WINDOW = enum.auto()
    """Rows from top to bottom, each several times. A decoder can stream through it, a pipeline cannot."""
    AREA = enum.auto()
    """Any pixels, in any order, more than once."""


class Overlays(Protocol):
    """The overlays that operations name, in renderer processes."""

    def load(self, image_id: str, box: Size, *, enlarge: bool) -> Image:
        """Decode an overlay, scaled to fit inside `box`; smaller ones only if `enlarge`."""


class Operation(BaseModel):
    """One operation of a chain. Its fields, in order, are the arguments in the URL, separated by commas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    examples: ClassVar[tuple[str, ...]]
    """Complete pairs as in a URL, for the documentation and for the contract test."""
    reads: ClassVar[Reads] = Reads.AREA
    """Which pixels of the input one pixel of the result needs, for any arguments; see reading()."""
    cost: ClassVar[float] = 10.0
    """Nanoseconds for one pixel, for any arguments; see nanoseconds()."""

    # From text, and back.

    @classmethod
    def parse(cls, text: str) -> Self:
        """The operation with the arguments in `text`. Raises BadArgument if they are wrong."""
        try:
            return cls(**cls.named(text.split(",") if text else []))
        except ValidationError as error:
            raise BadArgument(_reason(error)) from error

    @classmethod
    def named(cls, values: list[str]) -> dict[str, Any]:
        """The fields for the comma-separated `values`: in order, unless a class overrides this."""
        names = list(cls.model_fields)
        if len(values) > len(names):
            raise BadArgument(f"takes {len(names)} argument(s), not {len(values)}")
        return dict(zip(names, values, strict=False))

    def arguments(self) -> str:
        """The canonical text of the arguments."""
        return ",".join(canonical(getattr(self, name)) for name in type(self).model_fields)

    def __str__(self) -> str:
        """The canonical text of the whole pair: equal if and only if the effects are."""
        return f"{self.name}={self.arguments()}" if type(self).model_fields else self.name

    # Known before any pixel is computed.

    def output_size(self, size: Size) -> Size:
        """The size of the result for an input of `size`. Raises BadRequest if the operation does not fit the input."""
        return size

    def adds_transparency(self) -> bool:
        """Whether the result has new transparent pixels (corners, margins)."""
        return False

    def output(self, frame: Frame) -> Frame:
        """What is known about the result, given what is known about the input."""
        return Frame(self.output_size(frame.size), frame.alpha or self.adds_transparency(), frame.exact)

    def resolve(self, frame: Frame) -> "Steps":
        """Simpler steps with the same effect on such a frame; () if there is no effect.

        Called with an exact frame, and again on its results, until steps return themselves.
        """
        return (self,)

    def nanoseconds(self) -> float:
        """Roughly the nanoseconds of a core for one pixel of the input, or of the result if that has more pixels."""
        return self.cost

    def reading(self) -> Reads:
        """Which pixels of the input one pixel of the result needs."""
        return self.reads

    def encoding(self, encoding: Encoding) -> Encoding:
        """The encoding after this step has changed it."""
        return encoding

    def overlays(self) -> tuple[str, ...]:
        """The IDs of the overlays that this step needs."""
        return ()

    # Computing pixels, in renderer processes.

    def apply(self, image: Image) -> Image:
        """Compute the result. Both are one upright frame: 8 bits a band, sRGB or grey, with or without alpha."""
        return image

    def apply_with(self, image: Image, overlays: Overlays) -> Image:
        """Like `apply`, for operations that need overlays."""
        return self.apply(image)


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


def _reason(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"the value for {field} is missing"
    if first["type"] == "value_error":
        return f"{field}: {first['ctx']['error']}"
    return f"{field} {first['msg'].removeprefix('Input ')}, not {first['input']!r}"
