"""The operation `sharpen`."""

from typing import Annotated

from pydantic import Field

from imaging.alpha import colours_only, filled
from imaging.geometry import Frame
from imaging.types import Image
from transform_service.operations.arguments import Number
from transform_service.operations.base import Operation, Steps, operation


@operation("sharpen")
class Sharpen(Operation):
    """Sharpen the lightness with an unsharp mask of `sigma` pixels, as libvips does. Flat areas do not change."""

    sigma: Annotated[Number, Field(ge=0, le=10)]
    examples = ("sharpen=1", "sharpen=0.5")
    cost = 60.0

    def resolve(self, frame: Frame) -> Steps:
        """No step for 0."""
        return (self,) if self.sigma else ()

    def apply(self, image: Image) -> Image:
        """Sharpen in CIELAB, so that colours do not shift."""
        interpretation = image.interpretation
        if image.hasalpha():
            image = filled(image, self.sigma)
        return colours_only(
            image, lambda colours: colours.sharpen(sigma=self.sigma).colourspace(interpretation).cast("uchar")
        )
