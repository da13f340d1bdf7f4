"""The facts at the start of an image file."""

from pydantic import BaseModel, ConfigDict

from imaging.formats import FORMATS, Format
from imaging.geometry import Size


class Header(BaseModel):
    """What the header of an image file says, before any pixel is decoded.

    Width and height are those of one frame, in pixels, before the orientation is applied.
    """

    model_config = ConfigDict(frozen=True)

    format: str
    """A key of FORMATS."""
    width: int
    height: int
    frames: int
    orientation: int
    """EXIF orientation, 1 to 8."""
    colour_space: str
    """libvips' interpretation, such as `srgb`, `b-w` or `cmyk`."""
    alpha: bool
    progressive: bool
    """Whether it is a progressive JPEG or an interlaced PNG."""

    @property
    def image_format(self) -> Format:
        """The record of the format."""
        return FORMATS[self.format]

    @property
    def size(self) -> Size:
        """The size of a frame, as stored."""
        return Size(self.width, self.height)
