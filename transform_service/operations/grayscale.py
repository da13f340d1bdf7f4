"""The operation `grayscale`."""

from imaging.alpha import mix_colours
from imaging.types import Image
from transform_service.operations.base import Operation, Reads, operation
from transform_service.operations.saturation import LUMA


@operation("grayscale")
class Grayscale(Operation):
    """Reduce colours to their luma (ITU-R BT.709), as `grayscale(1)` does in CSS."""

    examples = ("grayscale",)
    reads = Reads.POINT
    cost = 3.0

    def apply(self, image: Image) -> Image:
        """A weighted sum of the bands. It is linear, so it may run before or after scaling."""
        if image.interpretation == "b-w":
            return image
        return mix_colours(image, [list(LUMA)]).copy(interpretation="b-w")
