"""The operation `resize`."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator

from transform_service.arguments import OpenBox
from transform_service.geometry import Box, Frame, Size
from transform_service.operations.base import BadArgument, Operation, Reads, Steps, operation
from transform_service.operations.crop import Crop
from transform_service.operations.pad import Pad

if TYPE_CHECKING:
    import pyvips

_ANY = 10_000_000
"""A side that binds nothing: the most that libvips allows."""
_READY = {"srgb", "b-w"}
_JPEG_SHRINKS = ((16, 8.0), (8, 4.0), (4, 2.0))
"""From which factor on libvips lets libjpeg shrink, and by how much: a factor of 2 is left to its better filter."""
Fit = Literal["inside", "outside", "cover", "contain", "fill"]


@operation("resize")
class Resize(Operation):
    """Scale to a `box` of `WxH`, `Wx` or `xH` pixels; never enlarges unless `enlarge` stands behind.

    `inside` (the default) is the largest that fits into the box, `outside` the smallest that covers
    it, `cover` is `outside` with what sticks out cut off at both ends, `contain` is `inside` with
    margins (transparent, or the background's colour), `fill` takes both sides without keeping the
    aspect ratio. A side that is left open follows the aspect ratio.
    """

    box: OpenBox
    fit: Fit = "inside"
    enlarge: Annotated[bool, BeforeValidator(lambda text: text in {True, "enlarge"})] = False
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
        """The box, then the fit or `enlarge` or both."""
        fields: dict[str, Any] = {"box": values[0]} if values else {}
        for word in values[1:]:
            field = "enlarge" if word == "enlarge" else "fit"
            if field == "fit" and word not in get_args(Fit):
                raise BadArgument(f"{word!r} is neither enlarge nor one of {', '.join(get_args(Fit))}")
            if field in fields:
                raise BadArgument(f"{word!r} is one word too many")
            fields[field] = word
        return fields

    @classmethod
    def to(cls, size: Size) -> Self:
        """The plain scaling to exactly `size`."""
        return cls(box=Box.of(size), fit="fill", enlarge=True)

    def arguments(self) -> str:
        """The words that are not the default."""
        words = [str(self.box), *([self.fit] if self.fit != "inside" else []), *(["enlarge"] if self.enlarge else [])]
        return ",".join(words)

    def output_size(self, size: Size) -> Size:
        """As libvips' thumbnail rounds it."""
        scaled = self.scaled_size(size)
        if self.fit == "cover":
            return scaled.clipped(self.box.closed(scaled))
        return self.box.closed(scaled) if self.fit == "contain" else scaled

    def scaled_size(self, size: Size) -> Size:
        """The size to which the frame is scaled, before anything is cut off or put around."""
        shrinks = self.box.shrinks(size)
        if self.fit == "fill" and len(shrinks) > 1:
            target = self.box.closed(size)
            return target if self.enlarge else target.clipped(size)
        shrink = min(shrinks) if self.fit in {"outside", "cover"} else max(shrinks)
        return size.shrunk(shrink if self.enlarge else max(1.0, shrink))

    def adds_transparency(self) -> bool:
        """Only `contain` has margins."""
        return self.fit == "contain"

    def resolve(self, frame: Frame) -> Steps:
        """Scaling to the exact size, then cutting off or putting around."""
        scaled = self.scaled_size(frame.size)
        scale = () if scaled == frame.size else (Resize.to(scaled),)
        after = Frame(scaled, frame.alpha)
        if self.fit == "cover":
            return (*scale, *Crop(box=Box.of(self.box.closed(scaled))).resolve(after))
        if self.fit == "contain":
            return (*scale, *Pad(box=Box.of(self.box.closed(scaled))).resolve(after))
        return scale

    def decoder_shrink(self, fmt: str, size: Size) -> float:
        """How many times smaller a decoder of this format makes each side of a frame of `size`; 1 where it cannot."""
        target = self.output_size(size)
        factor = size.width / target.width if target.width >= target.height else size.height / target.height
        if fmt == "jpeg":
            return next((shrink for least, shrink in _JPEG_SHRINKS if factor >= least), 1.0)
        return max(1.0, factor) if fmt == "webp" else 1.0

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """Lanczos 3, with premultiplied alpha; plain scaling, whatever the fit was."""
        if image.format == "uchar" and image.interpretation in _READY and not image.hasalpha():
            return self.apply_to_opaque(image)
        return self._evenly(image)

    def apply_to_opaque(self, image: "pyvips.Image") -> "pyvips.Image":
        """The same to an image of 8 bits, sRGB or grey, in which nothing is transparent, with alpha or without.

        Half a millisecond faster than libvips' `thumbnail_image`, which prepares for all else.
        """
        target = self.box.closed(Size(1, 1))
        across, down = target.width / image.width, target.height / image.height
        even = image.resize(across if target.width >= target.height else down)
        if (even.width, even.height) == (target.width, target.height):
            return even
        return image.resize(across, vscale=down)

    def _evenly(self, image: "pyvips.Image") -> "pyvips.Image":
        """By the same factor in both directions where that gives the exact size, else forced to it.

        The factor is that of the longer side, which is rounded less; or else that of the shorter one.
        """
        target = self.box.closed(Size(1, 1))
        by_side = [Size(target.width, _ANY), Size(_ANY, target.height)]
        for box in by_side if target.width >= target.height else reversed(by_side):
            scaled = image.thumbnail_image(box.width, height=box.height, size="both", no_rotate=True)
            if (scaled.width, scaled.height) == (target.width, target.height):
                return scaled
        return image.thumbnail_image(target.width, height=target.height, size="force", no_rotate=True)
