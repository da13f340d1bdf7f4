"""The operation `thumb`."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from transform_service.geometry import Size
from transform_service.operations.base import Operation, Pixels, Reads, operation

if TYPE_CHECKING:
    from pathlib import Path

    import pyvips


@operation("thumb")
class Thumb(Operation):
    """Fit inside a square of `side` pixels, with the aspect ratio kept; never enlarges."""

    side: Annotated[Pixels, Field(ge=1, le=8192)]
    examples = ("thumb=300",)
    reads = Reads.ROWS

    def output_size(self, size: Size) -> Size:
        """As libvips' thumbnail rounds it."""
        return size.within(self.side)

    def open(self, path: "Path", size: Size) -> "pyvips.Image | None":
        """Shrink while loading: a JPEG decoder can leave out what the thumbnail would not show.

        What was shrunk once may round to another size than the original does; then the size is forced.
        """
        import pyvips  # noqa: PLC0415  # in renderers only

        def thumbnail(width: int, height: int, mode: str) -> pyvips.Image:
            return pyvips.Image.thumbnail(
                str(path), width, height=height, size=mode, output_profile="srgb", fail_on="error"
            )

        target = self.output_size(size)
        image = thumbnail(self.side, self.side, "down")
        if (image.width, image.height) == (target.width, target.height):
            return image
        return thumbnail(target.width, target.height, "force")

    def apply(self, image: "pyvips.Image") -> "pyvips.Image":
        """Lanczos 3, with premultiplied alpha."""
        size = Size(image.width, image.height)
        if self.output_size(size) == size:
            return image
        return image.thumbnail_image(self.side, height=self.side, size="down", no_rotate=True)
