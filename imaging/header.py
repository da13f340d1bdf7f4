"""The facts at the start of an image file."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from imaging.formats import FORMATS, Format, InputLimits
from imaging.geometry import Size

_QUARTER_TURNED = 5
"""EXIF orientations from here on swap the sides."""
_MOST = 2**31 - 1
"""What libvips' integers hold, and the columns of the databases."""
_Count = Annotated[int, Field(ge=1, le=_MOST)]


def _known(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"unknown format {name[:32]!r}")
    return name


class Header(BaseModel):
    """What the header of an image file says, before any pixel is decoded.

    Width and height are those of one frame, in pixels, before the orientation is applied.
    """

    model_config = ConfigDict(frozen=True)

    format: Annotated[str, AfterValidator(_known)]
    """A key of FORMATS."""
    width: _Count
    height: _Count
    frames: _Count
    orientation: Annotated[int, Field(ge=1, le=8)]
    """EXIF orientation."""
    colour_space: Annotated[str, Field(pattern="^[a-z0-9-]{1,32}$")]
    """libvips' interpretation, such as `srgb`, `b-w` or `cmyk`."""
    alpha: bool
    progressive: bool
    """Whether it is a progressive JPEG or an interlaced PNG."""
    bands: _Count = 4
    """Colours, alpha and whatever else a pixel has."""
    sample_bytes: Annotated[int, Field(ge=1, le=8)] = 1
    """Bytes of one band of a pixel, as libvips decodes it."""
    held_bytes: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    """What its decoder holds in addition to pixels, at most: metadata, tables, the largest strip."""

    gain_map_pixels: Annotated[int, Field(ge=0, le=_MOST)] = 0
    """The size of the gain map in an Ultra HDR file; 0 without one."""

    unread_frames: Annotated[int, Field(ge=0, le=_MOST)] = 0
    """The frames of an animation that the service does not read, since it shows one picture instead."""

    @property
    def image_format(self) -> Format:
        """The record of the format."""
        return FORMATS[self.format]

    @property
    def size(self) -> Size:
        """The size of a frame, as stored."""
        return Size(self.width, self.height)

    @property
    def upright_size(self) -> Size:
        """The size of a frame after its orientation is applied."""
        return self.size.swapped() if self.orientation >= _QUARTER_TURNED else self.size

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a decoded pixel."""
        return self.bands * self.sample_bytes

    def check(self, limits: InputLimits) -> None:
        """Raise UnprocessableImage if the image is larger than `limits` allow."""
        limits.check_frames(self.frames)
        limits.check_size(self.width, self.height)
        limits.check_bands(self.bands)
        frames = f" x {self.frames} frames" if self.frames > 1 else ""
        limits.check_pixels(self.size.pixels * self.frames, f"{self.size}{frames}")
