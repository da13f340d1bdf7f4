"""The operation `rotate`."""

import math
from typing import TYPE_CHECKING

from transform_service.alpha import premultiplied, with_alpha
from transform_service.arguments import Number
from transform_service.geometry import Frame, Size, round_half_up
from transform_service.operations.base import Operation, Steps, operation

if TYPE_CHECKING:
    import pyvips

_QUARTER = 90


@operation("rotate")
class Rotate(Operation):
    """Turn clockwise by `degrees`; the canvas grows, its new corners are transparent or the background's colour."""

    degrees: Number
    examples = ("rotate=90", "rotate=33.5", "rotate=-12")
    cost = 15.0

    @property
    def turn(self) -> float:
        """Degrees clockwise, 0 up to and without 360."""
        return self.degrees % 360

    @property
    def quarters(self) -> int | None:
        """How many quarter turns this is, 0 to 3; None where it is no whole number of them."""
        return None if self.turn % _QUARTER else int(self.turn // _QUARTER)

    @classmethod
    def by_quarters(cls, quarters: int) -> "Rotate":
        """A turn by a number of quarters."""
        return cls(degrees=quarters % 4 * _QUARTER)

    def output_size(self, size: Size) -> Size:
        """The box around the turned frame, as libvips rounds it."""
        if self.quarters is not None:
            return size.swapped() if self.quarters % 2 else size
        radians = math.radians(self.turn)
        cos, sin = abs(math.cos(radians)), abs(math.sin(radians))
        return Size(
            round_half_up(size.width * cos + size.height * sin),
            round_half_up(size.width * sin + size.height * cos),
        )

    def adds_transparency(self) -> bool:
        """All but quarter turns have corners."""
        return self.quarters is None

    def resolve(self, frame: Frame) -> Steps:
        """Nothing for whole turns; else less than one."""
        return (Rotate(degrees=self.turn),) if self.turn else ()

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """Quarter turns move pixels; others interpolate (bilinear), with premultiplied alpha."""
        if self.quarters is not None:
            return image.rot(f"d{self.quarters * _QUARTER}")
        return premultiplied(with_alpha(image), lambda frame: frame.rotate(self.turn))
