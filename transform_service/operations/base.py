"""What an operation is, and the registry of them."""

import enum
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

import transform_service.operations
from service_kit.plugins import discover
from transform_service.arguments import canonical
from transform_service.encoding import Encoding
from transform_service.geometry import Frame, Size

if TYPE_CHECKING:
    from pathlib import Path

    import pyvips


class BadArgument(ValueError):
    """An operation's argument is missing, superfluous or out of range; the text says which and why."""


class Reads(enum.Enum):
    """What a step reads decides what may stand before it: a decoder, a pipeline, or pixels in memory."""

    POINT = enum.auto()
    """The pixel at the same place."""
    ROWS = enum.auto()
    """Rows from top to bottom, each once: like POINT, it can be fused with whatever stands before it."""
    WINDOW = enum.auto()
    """Rows from top to bottom, each several times: a decoder can be streamed through it, a pipeline cannot."""
    AREA = enum.auto()
    """Any pixels, in any order, more than once."""


class Operation(BaseModel):
    """One step of a chain. Its fields, in order, are the URL's arguments, separated by commas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    examples: ClassVar[tuple[str, ...]]
    """Complete pairs as they stand in a URL: for the documentation and for the contract test."""
    reads: ClassVar[Reads] = Reads.AREA
    """Which pixels of its input one pixel of the result needs, whatever the arguments are."""
    cost: ClassVar[float] = 10.0
    """Nanoseconds a pixel, where they do not depend on the arguments; see nanoseconds()."""

    # From text, and back.

    @classmethod
    def parse(cls, text: str) -> Self:
        """The operation with the arguments in `text`; BadArgument says what is wrong with them."""
        try:
            return cls(**cls.named(text.split(",") if text else []))
        except ValidationError as error:
            raise BadArgument(_reason(error)) from error

    @classmethod
    def named(cls, values: list[str]) -> dict[str, Any]:
        """The fields that the comma-separated `values` stand for: by their order, unless a class says otherwise."""
        names = list(cls.model_fields)
        if len(values) > len(names):
            raise BadArgument(f"takes {len(names)} argument(s), got {len(values)}")
        return dict(zip(names, values, strict=False))

    def arguments(self) -> str:
        """The canonical text of the arguments."""
        return ",".join(canonical(getattr(self, name)) for name in type(self).model_fields)

    def __str__(self) -> str:
        """The canonical text of the whole pair: equal for equal effects, different for different ones."""
        return f"{self.name}={self.arguments()}" if type(self).model_fields else self.name

    # What is known before any pixel is computed.

    def output_size(self, size: Size) -> Size:
        """The size of the result for an input of `size`; BadRequest where the input has no such part."""
        return size

    def adds_transparency(self) -> bool:
        """Whether the result has transparent pixels where the input had none (new corners, new margins)."""
        return False

    def output(self, frame: Frame) -> Frame:
        """What is known of the result of an input of which `frame` is known."""
        return Frame(self.output_size(frame.size), frame.alpha or self.adds_transparency(), frame.exact)

    def resolve(self, frame: Frame) -> "Steps":
        """Plainer steps that do the same to such a frame: () where nothing is to be done.

        Called with an exact frame, and of its results again: what is plain already returns itself.
        """
        return (self,)

    def nanoseconds(self) -> float:
        """What a pixel of the input, or of the result where that has more, takes roughly on one core."""
        return self.cost

    def reading(self) -> Reads:
        """Which pixels of its input one pixel of the result needs."""
        return self.reads

    def encoding(self, encoding: Encoding) -> Encoding:
        """What this step makes of the encoder's settings."""
        return encoding

    def overlays(self) -> tuple[str, ...]:
        """The ids of the stored images that this step needs besides its input."""
        return ()

    # Pixels: in renderer processes only.

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """Compute the pixels: from and to one upright frame, 8 bits a band, sRGB or grey, perhaps with alpha."""
        return image

    def apply_with(self, image: "pyvips.Image", overlays: "Sequence[Path]") -> "pyvips.Image":
        """As `apply`, with the files of `overlays()` at hand."""
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
        return f"needs a value for {field}"
    if first["type"] == "value_error":
        return f"{field}: {first['ctx']['error']}"
    return f"{field} {first['msg'].removeprefix('Input ')}, got {first['input']!r}"
