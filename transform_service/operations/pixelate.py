"""The operation `pixelate`."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from transform_service.alpha import premultiplied
from transform_service.arguments import MAX_SIDE, Pixels
from transform_service.geometry import Frame
from transform_service.operations.base import Operation, Reads, Steps, operation

if TYPE_CHECKING:
    import pyvips


@operation("pixelate")
class Pixelate(Operation):
    """Show squares of `side` pixels, each of the mean colour of what it hides."""

    side: Annotated[Pixels, Field(ge=1, le=MAX_SIDE)]
    examples = ("pixelate=8",)
    reads = Reads.ROWS
    cost = 5.0

    def resolve(self, frame: Frame) -> Steps:
        """Nothing for squares of one pixel."""
        return () if self.side == 1 else (self,)

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """Shrink by whole numbers, enlarge again, cut off what the last squares have too much."""

        def squares(frame: "pyvips.Image") -> "pyvips.Image":
            across, down = (min(self.side, side) for side in (frame.width, frame.height))
            small = frame.shrink(across, down, ceil=True).copy_memory()
            return small.zoom(across, down).crop(0, 0, frame.width, frame.height)

        return premultiplied(image, squares)
