"""The operation `autocrop`."""

from typing import TYPE_CHECKING, Any

from transform_service.geometry import Frame
from transform_service.operations.base import Operation, operation

if TYPE_CHECKING:
    import pyvips

_THRESHOLD = 10
"""How far from the border's colour, of 255, still belongs to the border: ImageMagick's and sharp's habit."""
_MEDIAN = 3
"""The side of the window in which libvips overlooks single pixels of noise; smaller images have no room for it."""


@operation("autocrop")
class Autocrop(Operation):
    """Cut off a border of one colour, that of the top left pixel; where nothing else is, the image stays as it is."""

    examples = ("autocrop",)
    cost = 8.0

    def output(self, frame: Frame) -> Frame:
        """Perhaps smaller: the pixels decide."""
        return Frame(frame.size, frame.alpha, exact=False)

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """A transparent border is found by the alpha band alone."""
        corner = image.getpoint(0, 0)
        options: dict[str, Any] = {"threshold": _THRESHOLD, "line_art": min(image.width, image.height) < _MEDIAN}
        if image.hasalpha() and corner[-1] <= _THRESHOLD:
            box = image.extract_band(image.bands - 1).find_trim(background=[0.0], **options)
        else:
            colours = image.extract_band(0, n=image.bands - image.hasalpha())
            box = colours.find_trim(background=corner[: colours.bands], **options)
        left, top, width, height = (int(side) for side in box)
        return image.crop(left, top, width, height) if width and height else image
