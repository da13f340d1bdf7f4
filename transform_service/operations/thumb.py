"""The operation `thumb`."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from transform_service.geometry import Size
from transform_service.operations.base import Operation, Pixels, operation

if TYPE_CHECKING:
    from pathlib import Path

    import pyvips


@operation("thumb")
class Thumb(Operation):
    """Fit inside a square of `side` pixels, with the aspect ratio kept; never enlarges."""

    side: Annotated[Pixels, Field(ge=1, le=8192)]
    examples = ("thumb=300",)
    sequential = True

    def output_size(self, size: Size) -> Size:
        """As libvips' thumbnail rounds it."""
        return size.within(self.side)

    def open(self, path: "Path", size: Size, options: str) -> "pyvips.Image | None":
        """Shrink while loading: a JPEG decoder can leave out what the thumbnail would not show.

        The predicted size is forced, since libvips would round from the size that was shrunk already.
        """
        import pyvips  # noqa: PLC0415  # in renderers only

        target = self.output_size(size)
        return pyvips.Image.thumbnail(
            f"{path}{options}",
            target.width,
            height=target.height,
            size="force",
            output_profile="srgb",
            fail_on="error",
        )

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """Lanczos 3, with premultiplied alpha."""
        size = Size(image.width, image.height)
        target = self.output_size(size)
        if target == size:
            return image
        return image.thumbnail_image(target.width, height=target.height, size="force", no_rotate=True)
