"""What a renderer has to do, its limits, its cost, and its report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from imaging.encoding import Encoding
from imaging.geometry import Part, Size
from imaging.header import Header
from service_kit.errors import UnprocessableImage
from transform_service.operations.base import Operation, Steps
from transform_service.operations.resize import Resize

Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
_HEAVY_SECONDS, _HEAVY_BYTES = 0.12, 64 * 1024**2


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """Limits on a plan: the pixels after any step, all frames together, and the longer side of the output."""

    max_pixels: int
    max_side: int

    def check(self, size: Size, frames: int, operation: object) -> None:
        """Raise UnprocessableImage, which names `operation`, if that produces too many pixels."""
        if size.pixels * frames > self.max_pixels:
            raise UnprocessableImage(
                f"{operation} produces {size.pixels * frames} pixels ({size}); the limit is {self.max_pixels}"
            )

    def check_output(self, size: Size, operation: object) -> None:
        """Raise UnprocessableImage, which names `operation`, if that makes a side of the output too long."""
        if size.longer > self.max_side:
            raise UnprocessableImage(
                f"{operation} makes the output {size} pixels; the limit is {self.max_side} on each side,"
                f" so add thumb={self.max_side}"
            )


@dataclass(frozen=True, slots=True)
class Step:
    """One operation that a renderer runs."""

    operation: Operation
    buffered: bool
    """Whether its input is computed into memory first, since it reads pixels in any order or more than once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a renderer needs to know, apart from where the images are."""

    header: Header
    load: Resize | None
    """The downscale to do while decoding; None to decode all pixels."""
    steps: tuple[Step, ...]
    encoding: Encoding
    limits: OutputLimits
    page: int
    """The first frame to read."""
    frames: int
    """The number of frames to decode and encode."""
    unchanged: bool = False
    """Whether only the metadata has to go, so that the encoded pixels can perhaps be kept."""
    gain_map: bool = False
    """Whether the result keeps the gain map."""
    verify: bool = False
    """Whether the result is only that all of the file decodes."""
    level: bool = False
    """Whether `header` is that of a level, of which all pixels are read, with `alpha` as the image has it."""
    part: Part | None = None
    """Of a level: the part that `load` scales, unless that is all of it."""
    overlay_headers: Mapping[str, Header] = field(default_factory=dict)
    """The headers of the overlays, by ID. A renderer needs all of them."""

    @property
    def operations(self) -> Steps:
        """All operations, in order."""
        loading = (self.load,) if self.load else ()
        return (*loading, *(step.operation for step in self.steps))

    @property
    def overlays(self) -> tuple[str, ...]:
        """The IDs of the overlays, each once."""
        ids = (image_id for operation in self.operations for image_id in operation.overlays())
        return tuple(dict.fromkeys(ids))


@dataclass(frozen=True, slots=True)
class Cost:
    """Estimated seconds of one core, and bytes of memory in addition to those of an idle renderer."""

    seconds: float
    bytes: int

    def plus(self, other: "Cost") -> "Cost":
        """The cost of both."""
        return Cost(self.seconds + other.seconds, self.bytes + other.bytes)

    @property
    def heavy(self) -> bool:
        """Whether it belongs in the heavy lane."""
        return self.seconds > _HEAVY_SECONDS or self.bytes > _HEAVY_BYTES


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with its key and its cost."""

    plan: Plan | None
    """None if the result is the original itself: nothing has to be rendered."""
    key: str
    """The same for equal results: it depends on the content, the steps and the encoding."""
    cost: Cost
    """Without overlays, unless the plan has their headers."""
    chain: str = ""
    """What was asked for, as in usage: the canonical chain with its format. Not of verifications."""

    @property
    def overlays(self) -> tuple[str, ...]:
        """The IDs of the overlays."""
        return self.plan.overlays if self.plan else ()


@dataclass(frozen=True, slots=True)
class RenderReport:
    """How many seconds a renderer took to compute the pixels and to encode them.

    Large results are encoded while their pixels are computed. Then `render` has all the seconds, and `encode` is 0.
    """

    render: Seconds
    encode: Seconds
