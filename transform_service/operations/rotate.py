"""The operation `rotate`."""

import math
from typing import TYPE_CHECKING

from transform_service.geometry import Size, round_half_up
from transform_service.operations.base import Number, Operation, operation, premultiplied

if TYPE_CHECKING:
    import pyvips

_QUARTER = 90


@operation("rotate")
class Rotate(Operation):
    """Turn clockwise by `degrees`; the canvas grows, its new corners are transparent or the background's colour."""

    degrees: Number
    examples = ("rotate=90", "rotate=33.5", "rotate=-12")

    @property
    def turn(self) -> float:
        """Degrees clockwise, 0 up to and without 360."""
        return self.degrees % 360

    def output_size(self, size: Size) -> Size:
        """The box around the turned frame, as libvips rounds it."""
        if self.turn % _QUARTER == 0:
            return size.swapped() if self.turn % 180 else size
        radians = math.radians(self.turn)
        cos, sin = abs(math.cos(radians)), abs(math.sin(radians))
        return Size(
            round_half_up(size.width * cos + size.height * sin),
            round_half_up(size.width * sin + size.height * cos),
        )

    def adds_transparency(self) -> bool:
        """All but quarter turns have corners."""
        return self.turn % _QUARTER != 0

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """Quarter turns move pixels; others interpolate (bilinear), with premultiplied alpha."""
        if not self.turn:
            return image
        if not self.adds_transparency():
            return image.rot(f"d{int(self.turn)}")
        opaque = image if image.hasalpha() else image.addalpha()
        return premultiplied(opaque, lambda frame: frame.rotate(self.turn))
