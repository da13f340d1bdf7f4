"""How the two services speak of a stored image: its header, its content, and where its bytes are."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn, Protocol

from pydantic import BaseModel, ConfigDict

from imaging.header import Header
from service_kit.errors import ContentLost


class Located(BaseModel):
    """A stored image as the transform service sees it.

    Exactly one of `path` (a local file) and `url` (http, trusted) is set.
    """

    model_config = ConfigDict(frozen=True)

    image_id: str
    sha256: str
    bytes: int
    header: Header
    path: Path | None = None
    url: str | None = None


class Locator(Protocol):
    """Finds stored images for the transform service."""

    async def locate(self, image_id: str) -> Located:
        """Raises NotFound, Gone, or Unavailable if storage is down. The answer may be some minutes old."""

    async def confirm(self, image_id: str) -> None:
        """Raises NotFound or Gone if the image does not exist now."""


async def explain_missing(image_id: str, find: Callable[[str], Awaitable[object]]) -> NoReturn:
    """Raise the reason why an image's bytes are no longer where they were a moment ago.

    Asks `find` (a library's, or a locator's `confirm`) again, which raises Gone if the image was deleted meanwhile.
    Otherwise the bytes are lost: ContentLost.
    """
    await find(image_id)
    raise ContentLost(f"the bytes of image {image_id} are lost; upload the same file again to restore them")
