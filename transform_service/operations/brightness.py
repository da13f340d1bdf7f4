"""The operation `brightness`."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from transform_service.alpha import aside
from transform_service.arguments import Number
from transform_service.geometry import Frame
from transform_service.operations.base import Operation, Reads, Steps, operation

if TYPE_CHECKING:
    import pyvips


@operation("brightness")
class Brightness(Operation):
    """Multiply all colours by `factor`, as CSS's `brightness()`; 1 changes nothing, 0 is black."""

    factor: Annotated[Number, Field(ge=0, le=10)]
    examples = ("brightness=1.2", "brightness=0.5")
    reads = Reads.POINT
    cost = 3.0

    def resolve(self, frame: Frame) -> Steps:
        """Nothing for 1."""
        return () if self.factor == 1 else (self,)

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """A line through black; half a step is added, since libvips cuts fractions off."""
        return aside(image, lambda colours: colours.linear([self.factor], [0.5], uchar=True))
