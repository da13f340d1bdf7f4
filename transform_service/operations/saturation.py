"""The operation `saturation`."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from transform_service.alpha import mixed
from transform_service.arguments import Number
from transform_service.geometry import Frame
from transform_service.operations.base import Operation, Reads, Steps, operation

if TYPE_CHECKING:
    import pyvips

LUMA = (0.2126, 0.7152, 0.0722)
"""The weights of red, green and blue in ITU-R BT.709, which CSS's filters use too."""


@operation("saturation")
class Saturation(Operation):
    """Multiply the distance of each colour from its grey by `factor`, as CSS's `saturate()`; 1 changes nothing."""

    factor: Annotated[Number, Field(ge=0, le=10)]
    examples = ("saturation=1.5", "saturation=0.3")
    reads = Reads.POINT
    cost = 5.0

    def resolve(self, frame: Frame) -> Steps:
        """Nothing for 1."""
        return () if self.factor == 1 else (self,)

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """The matrix of CSS Filter Effects 1, 8.4: what each band takes of each band."""
        if image.interpretation == "b-w":
            return image
        matrix = [
            [self.factor * (row == column) + (1 - self.factor) * LUMA[column] for column in range(3)]
            for row in range(3)
        ]
        return mixed(image, matrix).copy(interpretation="srgb")
