"""The operation `blur`."""

import math
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from transform_service.alpha import premultiplied
from transform_service.arguments import Number, canonical
from transform_service.geometry import Frame
from transform_service.operations.base import Operation, Steps, operation

if TYPE_CHECKING:
    import pyvips

_CUT = 0.2
_WEIGHT = 20
"""libvips' weights are whole numbers up to this one (vips_gaussmat, precision integer)."""


@operation("blur")
class Blur(Operation):
    """Blur with a Gaussian whose standard deviation is `radius` pixels.

    Its tails are left out where they are lower than `cut` times its height, 0.2 by default, as libvips does: a smaller
    one is smoother and slower.
    """

    radius: Annotated[Number, Field(ge=0, le=250)]
    cut: Annotated[Number, Field(ge=0.01, le=1)] = _CUT
    examples = ("blur=2", "blur=0.5", "blur=4,0.02")

    @classmethod
    def of_variance(cls, variance: float, cut: float) -> Self:
        """The blur whose weights have this variance, in square pixels, as nearly as a radius of three decimals can."""
        radius = math.sqrt(variance)
        for _ in range(8):
            radius *= math.sqrt(variance / max(cls(radius=radius, cut=cut).variance(), variance / 4))
        return cls(radius=round(radius, 3), cut=cut)

    def variance(self) -> float:
        """Of libvips' weights, in square pixels: less than the square of the radius, since the tails are cut."""
        heights = [1.0]
        while (height := math.exp(-(len(heights) ** 2) / (2 * self.radius**2))) >= self.cut:
            heights.append(height)
        weights = heights if self._fine else [math.floor(_WEIGHT * height + 0.5) for height in heights]
        total = weights[0] + 2 * sum(weights[1:])
        return 2 * sum(place**2 * weight for place, weight in enumerate(weights)) / total

    def arguments(self) -> str:
        """The radius, and a cut that is not the default."""
        return canonical(self.radius) + (f",{canonical(self.cut)}" if self.cut != _CUT else "")

    def nanoseconds(self) -> float:
        """Growing with the number of weights."""
        return (60 + 25 * self.radius) if self._fine else (6 + self.radius)

    def resolve(self, frame: Frame) -> Steps:
        """Nothing for 0."""
        return (self,) if self.radius else ()

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """Blur with a separable Gaussian, premultiplied."""
        precision = "float" if self._fine else "integer"
        return premultiplied(image, lambda frame: frame.gaussblur(self.radius, min_ampl=self.cut, precision=precision))

    @property
    def _fine(self) -> bool:
        """Whole numbers hold no low tails, and libvips sums them with an error of up to 2 % (seen with 8.18.7)."""
        return self.cut < _CUT
