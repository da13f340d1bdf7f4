"""The operation `flop`."""

from imaging.types import Image
from transform_service.operations.base import Operation, Reads, operation


@operation("flop")
class Flop(Operation):
    """Mirror left and right."""

    examples = ("flop",)
    reads = Reads.ROWS
    cost = 1.0

    def keeps_gain_map(self) -> bool:
        """Yes."""
        return True

    def apply(self, image: Image) -> Image:
        """Mirror each row."""
        return image.fliphor()
