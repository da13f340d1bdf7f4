"""The operation `page`."""

from typing import Annotated

from pydantic import Field

from imaging.geometry import Frame
from transform_service.operations.arguments import Pixels
from transform_service.operations.base import Operation, Reads, Steps, operation


@operation("page")
class Page(Operation):
    """Take one frame of an animation or one page of a TIFF. `number` counts from 0."""

    number: Annotated[Pixels, Field(ge=0, le=9999)]
    examples = ("page=0",)
    reads = Reads.POINT
    cost = 0.0

    def resolve(self, frame: Frame) -> Steps:
        """No step: the decoder reads that page, wherever the operation is in the chain."""
        return ()
