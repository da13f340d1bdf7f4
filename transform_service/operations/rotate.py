"""The operation `rotate`."""

import math

from imaging.alpha import rounded, with_alpha
from imaging.geometry import Frame, Point, Size, round_half_up
from imaging.types import Image
from transform_service.operations.arguments import Number
from transform_service.operations.base import Operation, Steps, operation

_QUARTER = 90


@operation("rotate")
class Rotate(Operation):
    """Turn clockwise by `degrees`. The canvas grows; its corners are transparent or in the background's colour."""

    degrees: Number
    examples = ("rotate=90", "rotate=33.5", "rotate=-12")
    cost = 15.0

    @property
    def turn(self) -> float:
        """Degrees clockwise, at least 0 and below 360."""
        return self.degrees % 360

    @property
    def quarters(self) -> int | None:
        """The number of quarter turns, 0 to 3; None for other angles."""
        return None if self.turn % _QUARTER else int(self.turn // _QUARTER)

    @classmethod
    def by_quarters(cls, quarters: int) -> "Rotate":
        """The turn by a number of quarters."""
        return cls(degrees=quarters % 4 * _QUARTER)

    def output_size(self, size: Size) -> Size:
        """The bounding box of the turned image, rounded as in libvips."""
        if self.quarters is not None:
            return size.swapped() if self.quarters % 2 else size
        radians = math.radians(self.turn)
        cos, sin = abs(math.cos(radians)), abs(math.sin(radians))
        return Size(
            round_half_up(size.width * cos + size.height * sin),
            round_half_up(size.width * sin + size.height * cos),
        )

    def moved(self, point: Point, size: Size) -> Point | None:
        """Turned around the centre, which stays in the centre."""
        outer, radians = self.output_size(size), math.radians(self.turn)
        x, y = (point[0] - 0.5) * size.width, (point[1] - 0.5) * size.height
        turned = x * math.cos(radians) - y * math.sin(radians), x * math.sin(radians) + y * math.cos(radians)
        return (0.5 + turned[0] / outer.width, 0.5 + turned[1] / outer.height)

    def adds_transparency(self) -> bool:
        """Yes, in the new corners, except for quarter turns."""
        return self.quarters is None

    def keeps_gain_map(self) -> bool:
        """Only for quarter turns."""
        return self.quarters is not None

    def resolve(self, frame: Frame) -> Steps:
        """The same turn by less than 360 degrees; no step for whole turns."""
        return (Rotate(degrees=self.turn),) if self.turn else ()

    def apply(self, image: Image) -> Image:
        """Move pixels for quarter turns. Otherwise interpolate (bilinear); libvips premultiplies by itself."""
        if self.quarters is not None:
            return image.rot(f"d{self.quarters * _QUARTER}")
        return rounded(with_alpha(image).cast("float").rotate(self.turn), image)
