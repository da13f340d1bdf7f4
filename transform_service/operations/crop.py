"""The operation `crop`."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, WithJsonSchema

from imaging.geometry import PLACES, Box, Frame, Point, Size, offset, round_half_up
from imaging.scaling import crop_map
from imaging.types import Image
from service_kit.errors import BadRequest
from transform_service.operations.arguments import ClosedBox, Pixels, canonical, parse_place
from transform_service.operations.base import BadArgument, Operation, Reads, Steps, operation

FOCUS = "focus"
_FOUND = ("smart", FOCUS)
"""Places that depend on the image."""
_AT_A_POINT = 3  # the number of arguments in crop=X,Y,WxH
_CropPlace = Annotated[
    str,
    BeforeValidator(lambda text: parse_place(text, *_FOUND)),
    WithJsonSchema({"type": "string", "enum": [*PLACES, *_FOUND]}),
]


@operation("crop")
class Crop(Operation):
    """Cut out a `box` of `WxH` pixels, either at a `place` or, as `X,Y,WxH`, at `left` and `top`.

    The place is centre (default), north, northeast, east, southeast, south, southwest, west, northwest, smart: where
    the eye looks first (skin, saturation, edges), or focus: around the focal point of the image, and `smart` without
    one or behind `autocrop`. The box is clipped to the image.
    """

    left: Pixels | None = None
    top: Pixels | None = None
    box: ClosedBox
    place: _CropPlace = "centre"
    examples = (
        "crop=300x200",
        "crop=30x20,northwest",
        "crop=50x40,smart",
        "crop=50x40,focus",
        "crop=10,20,300x200",
    )
    cost = 1.0

    @classmethod
    def named(cls, values: list[str]) -> dict[str, Any]:
        """The box and optionally a place, or left, top and the box."""
        if len(values) > _AT_A_POINT:
            raise BadArgument(f"takes WxH, WxH,PLACE or X,Y,WxH, not {len(values)} arguments")
        names = ("left", "top", "box") if len(values) == _AT_A_POINT else ("box", "place")
        return dict(zip(names, values, strict=False))

    @classmethod
    def at(cls, left: int, top: int, size: Size) -> Self:
        """The crop of exactly `size` at a point."""
        return cls(left=left, top=top, box=Box.of(size))

    def around(self, point: Point, size: Size) -> "Crop":
        """The crop of the same box in an image of `size`, at a point: as far as possible with `point` in its middle."""
        box = self.output_size(size)
        left = round_half_up(point[0] * size.width - box.width / 2)
        top = round_half_up(point[1] * size.height - box.height / 2)
        return Crop.at(max(0, min(left, size.width - box.width)), max(0, min(top, size.height - box.height)), box)

    def moved(self, point: Point, size: Size) -> Point | None:
        """The point in the box, or the next one to it."""
        if self.place in _FOUND:
            return None
        box = self.output_size(size)
        at = offset(self.place, box, size) if self.left is None or self.top is None else (self.left, self.top)
        x = (point[0] * size.width - at[0]) / box.width
        y = (point[1] * size.height - at[1]) / box.height
        return (max(0.0, min(1.0, x)), max(0.0, min(1.0, y)))

    def may_change(self) -> bool:
        """Only around the focal point."""
        return self.place == FOCUS

    def reading(self) -> Reads:
        """Any pixels for `smart`, which has to see the whole image first; otherwise only rows."""
        return Reads.AREA if self.place in _FOUND else Reads.ROWS

    def arguments(self) -> str:
        """The box, with its point or its place."""
        if self.left is not None:
            return f"{canonical(self.left)},{canonical(self.top)},{self.box}"
        return f"{self.box},{self.place}"

    def output_size(self, size: Size) -> Size:
        """The box, clipped to the image."""
        left, top = self.left or 0, self.top or 0
        if left >= size.width or top >= size.height:
            raise BadRequest(f"{self} starts outside of the image, which is {size} pixels at that step")
        return self.box.closed(size).clipped(Size(size.width - left, size.height - top))

    def resolve(self, frame: Frame) -> Steps:
        """A crop at a point, or an exact `smart` crop. No step if the box contains the whole image."""
        size = self.output_size(frame.size)
        if size == frame.size:
            return ()
        if self.left is not None and self.top is not None:
            return (Crop.at(self.left, self.top, size),)
        if self.place == "smart":
            return (Crop(box=Box.of(size), place="smart"),)
        return (Crop.at(*offset(self.place, size, frame.size), size),)

    def keeps_gain_map(self) -> bool:
        """Yes."""
        return True

    def decides(self) -> bool:
        """Only for `smart`: the window."""
        return self.place == "smart"

    def decided(self, frames: Sequence[Image]) -> Steps:
        """The crop that libvips' attention strategy finds, in the mean of all frames."""
        size = self.output_size(Size(frames[0].width, frames[0].height))
        found = _mean(frames).smartcrop(size.width, size.height, interesting="attention")
        return (Crop.at(-found.xoffset, -found.yoffset, size),)

    def apply(self, image: Image) -> Image:
        """Crop at the point."""
        size = self.output_size(Size(image.width, image.height))
        return image.crop(self.left or 0, self.top or 0, size.width, size.height)

    def apply_to_map(self, gain_map: Image, size: Size) -> Image:
        """Cut out the same part."""
        return crop_map(gain_map, size, self.left or 0, self.top or 0, self.output_size(size))


def _mean(frames: Sequence[Image]) -> Image:
    """The mean of frames of the same size."""
    total = frames[0]
    for frame in frames[1:]:
        total = total + frame
    return (total / len(frames)).cast("uchar") if len(frames) > 1 else total
