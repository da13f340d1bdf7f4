"""The operation `resize`."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator

from imaging.geometry import Box, Frame, Point, Size
from imaging.scaling import scale, scale_map
from imaging.types import Image
from transform_service.operations.arguments import OpenBox
from transform_service.operations.base import BadArgument, Operation, Reads, Steps, operation
from transform_service.operations.crop import Crop
from transform_service.operations.pad import Pad

Fit = Literal["inside", "outside", "cover", "contain", "fill"]
FITS: tuple[str, ...] = get_args(Fit)
ENLARGE = "enlarge"


@operation("resize")
class Resize(Operation):
    """Scale to a `box` of `WxH`, `Wx` or `xH` pixels. Enlarges only with `enlarge`.

    With the `fit` `inside` (default), the result is the largest size that fits into the box; with `outside`, the
    smallest that covers it. `cover` is `outside`, cropped to the box. `contain` is `inside`, padded to the box
    (transparent, or in the background's colour). `fill` takes both sides of the box and ignores the aspect ratio. An
    omitted side follows from the aspect ratio.
    """

    box: OpenBox
    fit: Fit = "inside"
    enlarge: Annotated[bool, BeforeValidator(lambda text: text in {True, ENLARGE})] = False
    examples = (
        "resize=300x200",
        "resize=300x",
        "resize=x200,enlarge",
        "resize=40x90,outside",
        "resize=300x200,cover",
        "resize=200x200,contain",
        "resize=100x300,fill,enlarge",
    )
    reads = Reads.WINDOW
    cost = 6.0

    @classmethod
    def named(cls, values: list[str]) -> dict[str, Any]:
        """The box, then optionally the fit and `enlarge`, in any order."""
        fields: dict[str, Any] = {"box": values[0]} if values else {}
        for word in values[1:]:
            field = "enlarge" if word == ENLARGE else "fit"
            if field == "fit" and word not in FITS:
                raise BadArgument(f"{word!r} is not `enlarge` or one of: {', '.join(FITS)}")
            if field in fields:
                raise BadArgument(f"{word!r} is a second {field}; give only one")
            fields[field] = word
        return fields

    @classmethod
    def to(cls, size: Size) -> Self:
        """The resize to exactly `size`."""
        return cls(box=Box.of(size), fit="fill", enlarge=True)

    def arguments(self) -> str:
        """The box, and the other arguments unless they are the default."""
        words = [str(self.box), *([self.fit] if self.fit != "inside" else []), *(["enlarge"] if self.enlarge else [])]
        return ",".join(words)

    def output_size(self, size: Size) -> Size:
        """The size, rounded as in libvips' thumbnail."""
        scaled = self.scaled_size(size)
        if self.fit == "cover":
            return scaled.clipped(self.box.closed(scaled))
        return self.box.closed(scaled) if self.fit == "contain" else scaled

    def scaled_size(self, size: Size) -> Size:
        """The size after scaling, before anything is cropped or padded."""
        shrinks = self.box.shrinks(size)
        if self.fit == "fill" and len(shrinks) > 1:
            target = self.box.closed(size)
            return target if self.enlarge else target.clipped(size)
        shrink = min(shrinks) if self.fit in {"outside", "cover"} else max(shrinks)
        return size.shrunk(shrink if self.enlarge else max(1.0, shrink))

    def moved(self, point: Point, size: Size) -> Point | None:
        """The same share, unless `cover` crops or `contain` pads."""
        scaled = self.scaled_size(size)
        if self.fit == "cover":
            return Crop(box=Box.of(self.box.closed(scaled))).moved(point, scaled)
        return Pad(box=Box.of(self.box.closed(scaled))).moved(point, scaled) if self.fit == "contain" else point

    def adds_transparency(self) -> bool:
        """Only for `contain`, which adds margins."""
        return self.fit == "contain"

    def keeps_gain_map(self) -> bool:
        """Yes, except for `contain`, which adds margins."""
        return self.fit != "contain"

    def resolve(self, frame: Frame) -> Steps:
        """A resize to the exact size, then a crop or a pad if the fit needs one."""
        scaled = self.scaled_size(frame.size)
        scale_step = () if scaled == frame.size else (Resize.to(scaled),)
        after = Frame(scaled, frame.alpha)
        if self.fit == "cover":
            return (*scale_step, *Crop(box=Box.of(self.box.closed(scaled))).resolve(after))
        if self.fit == "contain":
            return (*scale_step, *Pad(box=Box.of(self.box.closed(scaled))).resolve(after))
        return scale_step

    def apply(self, image: Image) -> Image:
        """Scale to the exact size; see imaging.scaling.scale."""
        return scale(image, self.box.closed(Size(1, 1)))

    def apply_to_map(self, gain_map: Image, size: Size) -> Image:
        """Scale in proportion."""
        return scale_map(gain_map, size, self.output_size(size))
