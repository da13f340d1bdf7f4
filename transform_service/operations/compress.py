"""The operation `compress`."""

from typing import Annotated

from pydantic import Field

from imaging.encoding import Encoding
from imaging.geometry import Frame
from transform_service.operations.arguments import Pixels
from transform_service.operations.base import Operation, Reads, Steps, operation


@operation("compress")
class Compress(Operation):
    """Encode with a `quality` from 0 to 100 (best). The lowest of several wins. PNG and GIF get fewer colours."""

    quality: Annotated[Pixels, Field(ge=0, le=100)]
    examples = ("compress=75",)
    reads = Reads.POINT
    cost = 0.0

    def resolve(self, frame: Frame) -> Steps:
        """No step: it only changes the encoding."""
        return ()

    def keeps_gain_map(self) -> bool:
        """Yes."""
        return True

    def encoding(self, encoding: Encoding) -> Encoding:
        """The lowest requested quality wins."""
        return encoding.at_most(self.quality)
