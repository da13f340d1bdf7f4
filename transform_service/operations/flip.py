"""The operation `flip`."""

from imaging.types import Image
from transform_service.operations.base import Operation, operation


@operation("flip")
class Flip(Operation):
    """Mirror vertically: swap top and bottom."""

    examples = ("flip",)
    cost = 1.0

    def keeps_gain_map(self) -> bool:
        """Yes."""
        return True

    def apply(self, image: Image) -> Image:
        """Reverse the order of rows."""
        return image.flipver()
