"""The operation `autocrop`."""

from collections.abc import Sequence
from typing import Any

from imaging.geometry import Frame, Point, Size
from imaging.types import Image
from transform_service.operations.base import Operation, Steps, operation
from transform_service.operations.crop import Crop

_THRESHOLD = 10
"""How much a colour in the border may differ from that of its corner, out of 255. As in ImageMagick and sharp."""
_MEDIAN = 3
"""The side of the window in which libvips ignores single noisy pixels. It does not fit into smaller images."""


@operation("autocrop")
class Autocrop(Operation):
    """Remove a border that has the colour of the top left pixel. An image with only that colour does not change.

    The frames of an animation keep one size: what is inside the border in any of them.
    """

    examples = ("autocrop",)
    cost = 8.0

    def output(self, frame: Frame) -> Frame:
        """Possibly smaller, depending on the pixels."""
        return Frame(frame.size, frame.alpha, exact=False)

    def moved(self, point: Point, size: Size) -> Point | None:
        """Unknown before the pixels are."""
        return None

    def keeps_gain_map(self) -> bool:
        """Yes."""
        return True

    def decides(self) -> bool:
        """Yes: the border."""
        return True

    def decided(self, frames: Sequence[Image]) -> Steps:
        """The crop to what is inside the border in any of the frames."""
        boxes = [box for frame in frames if (box := _inside_border(frame))]
        if not boxes:
            return ()
        left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
        right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
        return Crop.at(left, top, Size(right - left, bottom - top)).resolve(
            Frame(Size(frames[0].width, frames[0].height))
        )


def _inside_border(image: Image) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of what is inside the border; None if there is nothing.

    The border is found by its colour, or a transparent one by the alpha band alone.
    """
    corner = image.getpoint(0, 0)
    options: dict[str, Any] = {"threshold": _THRESHOLD, "line_art": min(image.width, image.height) < _MEDIAN}
    if image.hasalpha() and corner[-1] <= _THRESHOLD:
        box = image.extract_band(image.bands - 1).find_trim(background=[0.0], **options)
    else:
        colours = image.extract_band(0, n=image.bands - image.hasalpha())
        box = colours.find_trim(background=corner[: colours.bands], **options)
    left, top, width, height = (int(side) for side in box)
    return (left, top, left + width, top + height) if width and height else None
