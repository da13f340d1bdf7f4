"""The operation `flip`."""

from typing import TYPE_CHECKING

from transform_service.operations.base import Operation, operation

if TYPE_CHECKING:
    import pyvips


@operation("flip")
class Flip(Operation):
    """Mirror top and bottom."""

    examples = ("flip",)
    cost = 1.0

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """The last row first."""
        return image.flipver()
