"""The operation `pixelate`."""

from typing import Annotated

from pydantic import Field

from imaging.alpha import premultiplied
from imaging.geometry import Frame
from imaging.types import Image
from transform_service.operations.arguments import MAX_SIDE, Pixels
from transform_service.operations.base import Operation, Reads, Steps, operation


@operation("pixelate")
class Pixelate(Operation):
    """Replace squares of `side` pixels with their mean colour."""

    side: Annotated[Pixels, Field(ge=1, le=MAX_SIDE)]
    examples = ("pixelate=8",)
    reads = Reads.ROWS
    cost = 5.0

    def resolve(self, frame: Frame) -> Steps:
        """No step for squares of one pixel."""
        return () if self.side == 1 else (self,)

    def apply(self, image: Image) -> Image:
        """Shrink by a whole number, enlarge again, and crop the last squares to the image."""

        def squares(frame: Image) -> Image:
            across, down = (min(self.side, side) for side in (frame.width, frame.height))
            small = frame.shrink(across, down, ceil=True).copy_memory()
            return small.zoom(across, down).crop(0, 0, frame.width, frame.height)

        return premultiplied(image, squares)
