"""The operation `flop`."""

from typing import TYPE_CHECKING

from transform_service.operations.base import Operation, Reads, operation

if TYPE_CHECKING:
    import pyvips


@operation("flop")
class Flop(Operation):
    """Mirror left and right."""

    examples = ("flop",)
    reads = Reads.ROWS
    cost = 1.0

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """Move pixels within their row."""
        return image.fliphor()
