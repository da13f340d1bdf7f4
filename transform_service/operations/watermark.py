"""The operation `watermark`."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from imaging.alpha import rounded, with_alpha
from imaging.geometry import Box, Frame, Size, offset
from imaging.types import Image
from service_kit.errors import BadRequest
from service_kit.ids import checked_image_id
from transform_service.operations.arguments import Number, Place, canonical
from transform_service.operations.base import BadArgument, Operation, Overlays, Reads, Steps, operation

_FIELDS = ("opacity", "scale")


def _image_id(text: object) -> str:
    try:
        return checked_image_id(str(text))
    except BadRequest as error:
        raise ValueError(error.detail) from error


_ImageId = Annotated[str, BeforeValidator(_image_id), WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{32}$"})]


@operation("watermark")
class Watermark(Operation):
    """Lay the stored image `image_id` over this one, at a `place` (default: centre), with an `opacity` from 0 to 1.

    With a `scale` above 0 and up to 1, the watermark is as large as fits into that share of the image's width and
    height. Without a scale, it keeps its size, or shrinks to fit.
    """

    image_id: _ImageId
    place: Place = "centre"
    opacity: Annotated[Number, Field(ge=0, le=1)] = 1.0
    scale: Annotated[Number, Field(gt=0, le=1)] | None = None
    examples = (
        "watermark=0123456789abcdef0123456789abcdef",
        "watermark=0123456789abcdef0123456789abcdef,southeast,0.5,0.25",
    )
    reads = Reads.POINT
    cost = 12.0

    @classmethod
    def named(cls, values: list[str]) -> dict[str, Any]:
        """The ID, then optionally a place, then optionally numbers."""
        fields: dict[str, Any] = {"image_id": values[0]} if values else {}
        rest = values[1:]
        if rest and re.match("[a-z]", rest[0]):
            fields["place"] = rest.pop(0)
        if len(rest) > len(_FIELDS):
            raise BadArgument("takes IMAGE_ID, and optionally a place, an opacity and a scale")
        return fields | dict(zip(_FIELDS, rest, strict=False))

    def arguments(self) -> str:
        """All arguments; the scale only if there is one."""
        values = (self.image_id, self.place, self.opacity, self.scale)
        return ",".join(canonical(value) for value in values if value is not None)

    def resolve(self, frame: Frame) -> Steps:
        """No step if the watermark would be invisible."""
        return (self,) if self.opacity else ()

    def overlays(self) -> tuple[str, ...]:
        """The image ID of the watermark."""
        return (self.image_id,)

    def overlay_size(self, overlay: Size, size: Size) -> Size:
        """As large as fits into the image, or into the share of it that `scale` allows."""
        box = Box.of(size.scaled(self.scale or 1))
        shrink = max(box.shrinks(overlay))
        return overlay.shrunk(shrink if self.scale else max(1.0, shrink))

    def apply_with(self, image: Image, overlays: Overlays) -> Image:
        """Compose the watermark over the image. Opaque images stay opaque."""
        size = Size(image.width, image.height)
        mark = self._mark(overlays, self.overlay_size(overlays.size(self.image_id), size))
        left, top = offset(self.place, Size(mark.width, mark.height), size)
        image = image.colourspace("srgb")
        composed = rounded(image.cast("float").composite2(mark.cast("float"), "over", x=left, y=top), image)
        return composed if image.hasalpha() else composed.extract_band(0, n=3)

    def _mark(self, overlays: Overlays, target: Size) -> Image:
        mark = overlays.load(self.image_id, target)
        mark = with_alpha(mark.colourspace("srgb"))
        faint = rounded(mark.extract_band(3) * self.opacity, mark)
        return mark.extract_band(0, n=3).bandjoin(faint).copy_memory()
