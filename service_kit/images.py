"""The facts about an image that cross from one part to another."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn, Protocol

from pydantic import BaseModel, ConfigDict

from service_kit.errors import ContentLost
from service_kit.formats import FORMATS, Format


class Header(BaseModel):
    """What the header of an image file tells, before any pixel is decoded.

    Width and height are pixels of one frame as stored, before EXIF orientation (1 to 8) is applied.
    """

    model_config = ConfigDict(frozen=True)

    format: str
    width: int
    height: int
    frames: int
    orientation: int
    colour_space: str
    alpha: bool
    progressive: bool

    @property
    def kind(self) -> Format:
        """The format with all that is known of it."""
        return FORMATS[self.format]


class Located(BaseModel):
    """A stored image as the transform service sees it: facts, and where its bytes are.

    Exactly one of `path` (a local file) and `url` (http, trusted) is set.
    """

    model_config = ConfigDict(frozen=True)

    image_id: str
    sha256: str
    bytes: int
    header: Header
    path: Path | None = None
    url: str | None = None


async def explain_missing(image_id: str, find: Callable[[str], Awaitable[object]]) -> NoReturn:
    """Say why an image's bytes are not where they were a moment ago.

    `find` (a library's, or a locator's `confirm`) is asked again, and raises Gone when the image was
    deleted meanwhile. Else it is ContentLost.
    """
    await find(image_id)
    raise ContentLost(f"the bytes of the image {image_id} are lost; uploading the same bytes again brings them back")


class Locator(Protocol):
    """Finds stored images for the transform service."""

    async def locate(self, image_id: str) -> Located:
        """Raises NotFound, Gone, or Unavailable when storage is down. The answer may be some minutes old."""

    async def confirm(self, image_id: str) -> None:
        """Raises NotFound or Gone when that is so now."""
