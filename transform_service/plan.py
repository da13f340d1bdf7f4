"""What a renderer is told: a plan, its limits, its cost."""

from dataclasses import dataclass

from service_kit.errors import UnprocessableImage
from transform_service.encoding import Encoding
from transform_service.geometry import Size
from transform_service.operations.base import Operation, Steps
from transform_service.operations.resize import Resize

_HEAVY_SECONDS, _HEAVY_BYTES = 0.12, 64 * 1024**2


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """What a plan may ask for: pixels of any step (frames summed), and of an output's longer side."""

    max_pixels: int
    max_side: int

    def check(self, size: Size, frames: int, maker: object) -> None:
        """Raise UnprocessableImage, which names the `maker`, for a step's result with too many pixels."""
        if size.pixels * frames > self.max_pixels:
            raise UnprocessableImage(
                f"{maker} makes {size.pixels * frames} pixels ({size}), {self.max_pixels} are allowed"
            )

    def check_output(self, size: Size, maker: object) -> None:
        """The same for an output with too long a side."""
        if size.longer > self.max_side:
            raise UnprocessableImage(
                f"the output would have {size} pixels because of {maker}, {self.max_side} a side are allowed;"
                f" add thumb={self.max_side}"
            )


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a renderer does."""

    operation: Operation
    buffered: bool
    """Whether the pixels are computed into memory before it, once: it reads them in any order, or more than once."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a decoder needs to know of the image beforehand."""

    format: str
    """A key of FORMATS."""
    size: Size
    """Of a frame, before EXIF's orientation is applied."""
    progressive: bool
    """Whether it is a progressive JPEG or an interlaced PNG."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a renderer needs to know besides where the images are."""

    stored: Stored
    load: Resize | None
    """Scaling that the decoder does while it reads; None: all pixels are decoded."""
    steps: tuple[Step, ...]
    encoding: Encoding
    limits: OutputLimits
    page: int
    """The frame that is read, or the first of them."""
    frames: int
    """How many frames are decoded and written."""
    unchanged: bool = False
    """Whether the result is the image itself, but for its metadata: then it need not be encoded again."""

    @property
    def operations(self) -> Steps:
        """All that is done, in this order."""
        loading = (self.load,) if self.load else ()
        return (*loading, *(step.operation for step in self.steps))

    @property
    def overlays(self) -> tuple[str, ...]:
        """The ids of the stored images that are needed besides the source."""
        return tuple(image_id for operation in self.operations for image_id in operation.overlays())


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one core, and bytes beyond those of an idle renderer."""

    seconds: float
    bytes: int

    @property
    def heavy(self) -> bool:
        """Whether small work should not have to wait behind it."""
        return self.seconds > _HEAVY_SECONDS or self.bytes > _HEAVY_BYTES


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, the key that equal results share (source, steps, encoder), and what it will cost."""

    plan: Plan
    key: str
    cost: Cost
