"""The operation `thumb`."""

from typing import Annotated

from pydantic import Field

from imaging.geometry import Box, Frame, Size
from transform_service.operations.arguments import MAX_SIDE, Pixels
from transform_service.operations.base import Operation, Steps, operation
from transform_service.operations.resize import Resize


@operation("thumb")
class Thumb(Operation):
    """Fit inside a square of `side` pixels. Keeps the aspect ratio and never enlarges."""

    side: Annotated[Pixels, Field(ge=1, le=MAX_SIDE)]
    examples = ("thumb=300",)

    def output_size(self, size: Size) -> Size:
        """The size, rounded as in libvips' thumbnail."""
        return self._as_resize().output_size(size)

    def keeps_gain_map(self) -> bool:
        """Yes."""
        return True

    def resolve(self, frame: Frame) -> Steps:
        """A resize to the exact size, or no step if the image is small enough."""
        return self._as_resize().resolve(frame)

    def _as_resize(self) -> Resize:
        return Resize(box=Box(self.side, self.side))
