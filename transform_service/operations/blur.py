"""The operation `blur`."""

import math
from typing import Annotated, Self

from pydantic import Field

from imaging.alpha import premultiplied, rounded
from imaging.geometry import Frame
from imaging.types import Image
from transform_service.operations.arguments import Number, canonical
from transform_service.operations.base import Operation, Steps, operation

_CUT = 0.2


@operation("blur")
class Blur(Operation):
    """Blur with a Gaussian whose standard deviation is `radius` pixels.

    Its tails are cut off below `cut` times the peak (default: 0.2, as in libvips). A lower cut is smoother and slower.
    """

    radius: Annotated[Number, Field(ge=0, le=250)]
    cut: Annotated[Number, Field(ge=0.01, le=1)] = _CUT
    examples = ("blur=2", "blur=0.5", "blur=4,0.02")

    @classmethod
    def of_variance(cls, variance: float, cut: float) -> Self:
        """The blur whose weights have this variance, in square pixels. The radius is rounded to three decimals."""
        radius = math.sqrt(variance)
        for _ in range(8):
            radius *= math.sqrt(variance / max(cls(radius=radius, cut=cut).variance(), variance / 4))
        return cls(radius=round(radius, 3), cut=cut)

    def variance(self) -> float:
        """The variance of the weights, in square pixels: less than the squared radius, since tails are cut off."""
        weights = self._heights() if self._fine else self._weights()
        total = weights[0] + 2 * sum(weights[1:])
        return 2 * sum(place**2 * weight for place, weight in enumerate(weights)) / total

    def arguments(self) -> str:
        """The radius, and the cut unless it is the default."""
        return canonical(self.radius) + (f",{canonical(self.cut)}" if self.cut != _CUT else "")

    def nanoseconds(self) -> float:
        """Grows with the number of weights."""
        return (60 + 25 * self.radius) if self._fine else (6 + self.radius)

    def resolve(self, frame: Frame) -> Steps:
        """No step for 0."""
        return (self,) if self.radius else ()

    def apply(self, image: Image) -> Image:
        """Blur with a separable Gaussian and premultiplied alpha."""
        if self._fine:
            return premultiplied(
                image, lambda frame: rounded(frame.gaussblur(self.radius, min_ampl=self.cut, precision="float"), frame)
            )
        middle, *side = self._weights()
        mask = type(image).new_from_array([*reversed(side), middle, *side], scale=middle + 2 * sum(side))
        return premultiplied(image, lambda frame: frame.convsep(mask, precision="integer"))

    def _heights(self) -> list[float]:
        """The Gaussian from its peak outwards, as far as it reaches the cut."""
        heights = [1.0]
        while (height := math.exp(-(len(heights) ** 2) / (2 * self.radius**2))) >= self.cut:
            heights.append(height)
        return heights

    def _weights(self) -> list[int]:
        """Weights that libvips' fast convolution can represent, from the middle outwards.

        It rounds each weight to a fraction of a power of two. The sum of what vips_gaussblur passes to it is then no
        longer 1, and a flat 230 became 226 or 232.
        """
        heights = self._heights()
        total = heights[0] + 2 * sum(heights[1:])
        whole = int(2 ** (7 - math.ceil(math.log2(heights[0] / total) + 1)))
        side = [round(whole * height / total) for height in heights[1:]]
        return [whole - 2 * sum(side), *side]

    @property
    def _fine(self) -> bool:
        """Whether to use floating point: whole weights have no low tails."""
        return self.cut < _CUT
