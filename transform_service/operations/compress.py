"""The operation `compress`."""

from typing import Annotated

from pydantic import Field

from transform_service.arguments import Pixels
from transform_service.encoding import Encoding
from transform_service.geometry import Frame
from transform_service.operations.base import Operation, Reads, Steps, operation


@operation("compress")
class Compress(Operation):
    """Encode with `quality`, 0 to 100, 100 the best; the smallest of several wins. PNG and GIF get fewer colours."""

    quality: Annotated[Pixels, Field(ge=0, le=100)]
    examples = ("compress=75",)
    reads = Reads.POINT
    cost = 0.0

    def resolve(self, frame: Frame) -> Steps:
        """The encoder's matter; no pixel changes before."""
        return ()

    def encoding(self, encoding: Encoding) -> Encoding:
        """The smallest quality asked for wins."""
        return encoding.at_most(self.quality)
