"""The operation `sharpen`."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from transform_service.alpha import aside
from transform_service.arguments import Number
from transform_service.geometry import Frame
from transform_service.operations.base import Operation, Steps, operation

if TYPE_CHECKING:
    import pyvips


@operation("sharpen")
class Sharpen(Operation):
    """Sharpen the lightness with an unsharp mask of `sigma` pixels, as libvips does; flat parts stay as they are."""

    sigma: Annotated[Number, Field(ge=0, le=10)]
    examples = ("sharpen=1", "sharpen=0.5")
    cost = 60.0

    def resolve(self, frame: Frame) -> Steps:
        """Nothing for 0."""
        return (self,) if self.sigma else ()

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """In CIELAB, so that colours do not shift."""
        kind = image.interpretation
        return aside(image, lambda colours: colours.sharpen(sigma=self.sigma).colourspace(kind).cast("uchar"))
