"""The operation `brightness`."""

from typing import Annotated

from pydantic import Field

from imaging.alpha import colours_only
from imaging.geometry import Frame
from imaging.types import Image
from transform_service.operations.arguments import Number
from transform_service.operations.base import Operation, Reads, Steps, operation


@operation("brightness")
class Brightness(Operation):
    """Multiply all colours by `factor`, as `brightness()` does in CSS. 1 changes nothing, 0 is black."""

    factor: Annotated[Number, Field(ge=0, le=10)]
    examples = ("brightness=1.2", "brightness=0.5")
    reads = Reads.POINT
    cost = 3.0

    def resolve(self, frame: Frame) -> Steps:
        """No step for 1."""
        return () if self.factor == 1 else (self,)

    def apply(self, image: Image) -> Image:
        """Multiply, and add half a step, since libvips truncates."""
        return colours_only(image, lambda colours: colours.linear([self.factor], [0.5], uchar=True))
