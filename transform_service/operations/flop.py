"""The operation `flop`."""

from imaging.geometry import Point, Size
from imaging.types import Image
from transform_service.operations.base import Operation, Reads, operation


@operation("flop")
class Flop(Operation):
    """Mirror left and right."""

    examples = ("flop",)
    reads = Reads.ROWS
    cost = 1.0

    def moved(self, point: Point, size: Size) -> Point | None:
        """As far from the right as it was from the left."""
        return (1 - point[0], point[1])

    def keeps_gain_map(self) -> bool:
        """Yes."""
        return True

    def apply(self, image: Image) -> Image:
        """Mirror each row."""
        return image.fliphor()
