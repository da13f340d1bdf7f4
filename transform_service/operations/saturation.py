"""The operation `saturation`."""

from typing import Annotated

from pydantic import Field

from imaging.alpha import mix_colours
from imaging.geometry import Frame
from imaging.types import Image
from transform_service.operations.arguments import Number
from transform_service.operations.base import Operation, Reads, Steps, operation

LUMA = (0.2126, 0.7152, 0.0722)
"""The weights of red, green and blue in ITU-R BT.709, as in CSS filters."""


@operation("saturation")
class Saturation(Operation):
    """Multiply the distance of colours from their grey by `factor`, as `saturate()` does in CSS. 1 changes nothing."""

    factor: Annotated[Number, Field(ge=0, le=10)]
    examples = ("saturation=1.5", "saturation=0.3")
    reads = Reads.POINT
    cost = 5.0

    def resolve(self, frame: Frame) -> Steps:
        """No step for 1."""
        return () if self.factor == 1 else (self,)

    def apply(self, image: Image) -> Image:
        """Apply the matrix of CSS Filter Effects 1, section 8.4. Each row is for one band of the result."""
        if image.interpretation == "b-w":
            return image
        matrix = [
            [self.factor * (row == column) + (1 - self.factor) * LUMA[column] for column in range(3)]
            for row in range(3)
        ]
        return mix_colours(image, matrix).copy(interpretation="srgb")
