"""The operation `pad`."""

from imaging.alpha import with_alpha
from imaging.geometry import Frame, Point, Size, offset
from imaging.types import Image
from transform_service.operations.arguments import ClosedBox
from transform_service.operations.base import Operation, Reads, Steps, operation


@operation("pad")
class Pad(Operation):
    """Centre the image on a canvas of `WxH` pixels.

    The margins are transparent or in the background's colour. Sides that are already larger do not change.
    """

    box: ClosedBox
    examples = ("pad=500x400",)
    reads = Reads.ROWS
    cost = 2.0

    def output_size(self, size: Size) -> Size:
        """In each direction, the larger of image and canvas."""
        canvas = self.box.closed(size)
        return Size(max(canvas.width, size.width), max(canvas.height, size.height))

    def adds_transparency(self) -> bool:
        """Yes, in the margins."""
        return True

    def moved(self, point: Point, size: Size) -> Point | None:
        """The same pixel of the image, on the canvas."""
        outer = self.output_size(size)
        left, top = offset("centre", size, outer)
        return ((point[0] * size.width + left) / outer.width, (point[1] * size.height + top) / outer.height)

    def resolve(self, frame: Frame) -> Steps:
        """No step if the canvas is not larger."""
        return () if self.output_size(frame.size) == frame.size else (self,)

    def apply(self, image: Image) -> Image:
        """Embed in transparent black."""
        inner = Size(image.width, image.height)
        outer = self.output_size(inner)
        return with_alpha(image).embed(*offset("centre", inner, outer), outer.width, outer.height)
