"""The operation `grayscale`."""

from typing import TYPE_CHECKING

from transform_service.alpha import mixed
from transform_service.operations.base import Operation, Reads, operation
from transform_service.operations.saturation import LUMA

if TYPE_CHECKING:
    import pyvips


@operation("grayscale")
class Grayscale(Operation):
    """Leave out the colours; what is left is the luma of ITU-R BT.709, as in CSS's `grayscale(1)`."""

    examples = ("grayscale",)
    reads = Reads.POINT
    cost = 3.0

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """A weighted sum of the bands: linear, so that scaling before or after is the same."""
        if image.interpretation == "b-w":
            return image
        return mixed(image, [list(LUMA)]).copy(interpretation="b-w")
