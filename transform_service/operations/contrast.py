"""The operation `contrast`."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from transform_service.alpha import aside
from transform_service.arguments import Number
from transform_service.geometry import Frame
from transform_service.operations.base import Operation, Reads, Steps, operation

if TYPE_CHECKING:
    import pyvips

_MIDDLE = 127.5


@operation("contrast")
class Contrast(Operation):
    """Multiply the distance of colours from the middle grey by `factor`, as CSS's `contrast()`; 1 changes nothing."""

    factor: Annotated[Number, Field(ge=0, le=10)]
    examples = ("contrast=1.2", "contrast=0.5")
    reads = Reads.POINT
    cost = 3.0

    def resolve(self, frame: Frame) -> Steps:
        """Nothing for 1."""
        return () if self.factor == 1 else (self,)

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """A line through the middle grey; half a step is added, since libvips cuts fractions off."""
        shift = _MIDDLE * (1 - self.factor) + 0.5
        return aside(image, lambda colours: colours.linear([self.factor], [shift], uchar=True))
