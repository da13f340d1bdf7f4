"""The operation `autocrop`."""

from typing import Any

from imaging.geometry import Frame
from imaging.types import Image
from transform_service.operations.base import Operation, operation

_THRESHOLD = 10
"""How much a colour in the border may differ from that of its corner, out of 255. As in ImageMagick and sharp."""
_MEDIAN = 3
"""The side of the window in which libvips ignores single noisy pixels. It does not fit into smaller images."""


@operation("autocrop")
class Autocrop(Operation):
    """Remove a border that has the colour of the top left pixel. An image with only that colour does not change."""

    examples = ("autocrop",)
    cost = 8.0

    def output(self, frame: Frame) -> Frame:
        """Possibly smaller, depending on the pixels."""
        return Frame(frame.size, frame.alpha, exact=False)

    def apply(self, image: Image) -> Image:
        """Find the border by its colour, or a transparent one by the alpha band alone, and crop it."""
        corner = image.getpoint(0, 0)
        options: dict[str, Any] = {"threshold": _THRESHOLD, "line_art": min(image.width, image.height) < _MEDIAN}
        if image.hasalpha() and corner[-1] <= _THRESHOLD:
            box = image.extract_band(image.bands - 1).find_trim(background=[0.0], **options)
        else:
            colours = image.extract_band(0, n=image.bands - image.hasalpha())
            box = colours.find_trim(background=corner[: colours.bands], **options)
        left, top, width, height = (int(side) for side in box)
        return image.crop(left, top, width, height) if width and height else image
