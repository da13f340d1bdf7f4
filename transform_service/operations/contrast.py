"""The operation `contrast`."""

from typing import Annotated

from pydantic import Field

from imaging.alpha import colours_only
from imaging.geometry import Frame
from imaging.types import Image
from transform_service.operations.arguments import Number
from transform_service.operations.base import Operation, Reads, Steps, operation

_MIDDLE = 127.5


@operation("contrast")
class Contrast(Operation):
    """Multiply the distance of colours from mid-grey by `factor`, as `contrast()` does in CSS. 1 changes nothing."""

    factor: Annotated[Number, Field(ge=0, le=10)]
    examples = ("contrast=1.2", "contrast=0.5")
    reads = Reads.POINT
    cost = 3.0

    def resolve(self, frame: Frame) -> Steps:
        """No step for 1."""
        return () if self.factor == 1 else (self,)

    def apply(self, image: Image) -> Image:
        """Multiply around mid-grey, and add half a step, since libvips truncates."""
        shift = _MIDDLE * (1 - self.factor) + 0.5
        return colours_only(image, lambda colours: colours.linear([self.factor], [shift], uchar=True))
