"""The contract between the services: the header of a stored image, its content, and where its bytes are."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict

from imaging.geometry import Point
from imaging.header import Header
from imaging.levels import Level
from imaging.looks import Look
from service_kit.access import Visibility
from service_kit.errors import ContentLost


class Variant(BaseModel):
    """A variant that is stored."""

    model_config = ConfigDict(frozen=True)

    key: str
    """That of its plan."""
    bytes: int
    sha256: str
    """That of its own bytes, not of the image."""
    path: Path | None = None
    """A local file; None if it is in an object store: see Locator.variant_url."""


@dataclass(frozen=True, slots=True)
class NewVariant:
    """The result of a plan, to be stored."""

    key: str
    """That of the plan."""
    chain: str
    file: Path
    hot: bool
    """Whether it is wanted even if its chain is not precomputed."""


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
    visibility: str
    """`private` for a pending image: versions that do not know pending ones would send anything else as public."""
    pending: bool = False
    """Whether the image is pending."""
    space: str
    levels: tuple[Level, ...] | None = None
    """Those that are stored; None if storage keeps none."""
    variants: tuple[Variant, ...] | None = None
    """Those that are stored, precomputed ones first; None if storage keeps none."""
    precomputed: tuple[str, ...] = ()
    """The chains whose variants are to be stored."""
    has_look: bool = False
    """Whether storage knows what it looks like."""
    focus: Point | None = None
    """Its focal point, upright; None: unknown."""
    expires_at: AwareDatetime | None = None
    """When the image is deleted; None: never."""

    @property
    def actual_visibility(self) -> str:
        """Its visibility, also if it is pending."""
        return Visibility.PENDING if self.pending else self.visibility


class Locator(Protocol):
    """Finds stored images for the transform service."""

    async def locate(self, image_id: str) -> Located:
        """Find an image. The result may be some minutes old.

        Raises NotFound, Gone, ContentLost if it is damaged, or Unavailable if storage is down.
        """

    async def named(self, name: str) -> str:
        """The ID of the image that a name shows now. Raises BadRequest, NotFound, or Unavailable if storage is down."""

    async def confirm(self, image_id: str) -> str:
        """Check that the image is whole now, and return its visibility. Raises the errors of `locate` otherwise."""

    async def keep_look(self, image_id: str, look: Look) -> None:
        """Keep what an image looks like. Raises the errors of `locate`."""

    async def keep_level(self, image_id: str, side: int, file: Path) -> None:
        """Store a level, whose file may be moved. Raises the errors of `locate`, and BadRequest if it is not one.

        Raises InsufficientStorage if storage is full.
        """

    async def drop_level(self, image_id: str, level: Level) -> None:
        """Remove this level, which is lost or damaged, unless another one has replaced it. Raises those of `locate`."""

    async def variant_url(self, image_id: str, key: str) -> str:
        """A URL (http, trusted) from which to read a variant in an object store. Raises the errors of `locate`."""

    async def keep_variant(self, image_id: str, variant: NewVariant) -> None:
        """Store a variant, whose file may be moved, if it is wanted. Raises the errors of `keep_level`."""

    async def note_variants(self, keys: Sequence[str]) -> None:
        """Note that variants were used. Raises Unavailable."""

    async def drop_variant(self, image_id: str, variant: Variant) -> None:
        """Remove this variant, which is lost or damaged, unless another one has replaced it.

        Raises the errors of `locate`.
        """


async def explain_missing(image_id: str, find: Callable[[str], Awaitable[object]]) -> NoReturn:
    """Raise the error for an image whose bytes are missing.

    `find` (a library's, or a locator's `confirm`) looks the image up again and raises Gone if it was deleted meanwhile.
    Otherwise the bytes are lost, so this raises ContentLost.
    """
    await find(image_id)
    raise ContentLost(f"the bytes of image {image_id} are lost; upload the same file again to restore them")
