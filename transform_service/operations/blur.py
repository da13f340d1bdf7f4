"""The operation `blur`."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from transform_service.operations.base import Number, Operation, operation, premultiplied

if TYPE_CHECKING:
    import pyvips


@operation("blur")
class Blur(Operation):
    """Blur with a Gaussian whose standard deviation is `radius` pixels."""

    radius: Annotated[Number, Field(ge=0, le=250)]
    examples = ("blur=2", "blur=0.5")

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """Blur with a separable Gaussian, premultiplied."""
        if not self.radius:
            return image
        return premultiplied(image, lambda frame: frame.gaussblur(self.radius))
