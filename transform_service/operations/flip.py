"""The operation `flip`."""

from imaging.geometry import Point, Size
from imaging.types import Image
from transform_service.operations.base import Operation, operation


@operation("flip")
class Flip(Operation):
    """Mirror vertically: swap top and bottom."""

    examples = ("flip",)
    cost = 1.0

    def moved(self, point: Point, size: Size) -> Point | None:
        """As far from the bottom as it was from the top."""
        return (point[0], 1 - point[1])

    def keeps_gain_map(self) -> bool:
        """Yes."""
        return True

    def apply(self, image: Image) -> Image:
        """Reverse the order of rows."""
        return image.flipver()
