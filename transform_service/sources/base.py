"""The base class of sources, and the registry of sources."""

import abc
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

import transform_service.sources
from imaging.geometry import Point
from imaging.header import Header
from imaging.levels import Level
from imaging.locator import Locator, Variant
from imaging.looks import Look
from service_kit.access import Guard, Identity
from service_kit.cache_control import Caching
from service_kit.plugins import discover
from service_kit.spool import Spool, Spooled
from transform_service.scheduling.renderers import Renderers
from transform_service.settings import TransformSettings

_FRESH_SECONDS = 0.5


async def _nothing_to_confirm() -> None:
    """Nothing to check: an image that came with the request cannot be deleted."""


class LevelLost(Exception):
    """A level is missing, or has other bytes than were stored."""


class VariantLost(Exception):
    """A variant is missing, or has other bytes than were stored."""


class StoredVariants(Protocol):
    """The variants of a stored image."""

    there: Mapping[str, Variant]
    """Those that are stored, as far as is known, by the key of their plan."""
    precomputed: Collection[str]
    """The chains of those that are to be stored."""

    def local(self, variant: Variant) -> AbstractAsyncContextManager[Path]:
        """A context in which a variant is a local file. Raises VariantLost."""

    async def keep(self, key: str, chain: str, file: Path, *, hot: bool) -> None:
        """Store a variant; see NewVariant. Raises a ServiceError if that is not possible."""

    async def drop(self, variant: Variant) -> None:
        """Remove a variant that is lost or damaged. Raises a ServiceError if that is not possible."""


class StoredLevels(Protocol):
    """The levels of a stored image."""

    there: tuple[Level, ...]
    """Those that are stored, as far as is known."""

    def local(self, level: Level) -> AbstractAsyncContextManager[Path]:
        """A context in which a level is a local file. Raises LevelLost."""

    async def keep(self, side: int, file: Path) -> None:
        """Store a level. Raises a ServiceError if that is not possible."""

    async def drop(self, level: Level) -> None:
        """Remove a level that is lost or damaged. Raises a ServiceError if that is not possible."""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image to transform. Its header is known. Its bytes become a local file only when they are needed."""

    header: Header
    sha256: str
    caching: Caching
    """What responses with its variants say to caches."""
    local: Callable[[], AbstractAsyncContextManager[Path]]
    """Opens a context in which the image is a local file."""
    claim: Callable[[], AbstractContextManager[None]] = nullcontext
    """Opens a context in which `local` works, even after the request that named the image. Takes effect at once. Needed
    by sources whose files end with the request."""
    confirm: Callable[[], Awaitable[None]] = _nothing_to_confirm
    """Raises Gone if the image has been deleted, Unavailable if its visibility has changed."""
    levels: StoredLevels | None = None
    """None for images that have none, since they are not stored."""
    variants: StoredVariants | None = None
    """None for images that have none, since they are not stored."""
    keep_look: Callable[[Look], Awaitable[None]] | None = None
    """Keeps what it looks like; None if that is known, or the image is not stored."""
    image_id: str | None = None
    """The ID of a stored image; None for others."""
    guard: Guard | None = None
    """What responses with its variants require; None: nothing."""
    expires_at: datetime | None = None
    """When it is deleted; None: never."""
    focus: Point | None = None
    """Its focal point, upright; None: unknown."""
    stem: str = "image"
    """The name of the file, without an extension, if a client downloads it without naming it."""
    opened: float = field(default_factory=time.monotonic)
    """When it was known to exist (time.monotonic)."""

    @property
    def is_old(self) -> bool:
        """Whether `confirm` has to run before a response, since the image may have been deleted a while ago."""
        return time.monotonic() - self.opened > _FRESH_SECONDS


@dataclass(frozen=True, slots=True)
class Tools:
    """What sources need."""

    settings: TransformSettings
    locator: Locator
    spool: Spool
    renderers: Renderers


class Source(abc.ABC):
    """A source of images, and the parameter by which a request names an image."""

    parameter: ClassVar[str]
    """The form field or query parameter that names the image."""
    in_url: ClassVar[bool] = True
    """Whether the parameter may be in a URL, which cannot hold a file."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools

    async def start(self) -> None:  # noqa: B027  # most need nothing
        """Runs once, before the first request."""

    async def close(self) -> None:  # noqa: B027
        """Runs once, after the last request."""

    async def forget(self, content: str) -> None:  # noqa: B027
        """Remove what is kept of an image that was deleted, by its SHA-256."""

    @abc.abstractmethod
    def open(self, value: str | Spooled, viewer: Identity) -> AbstractAsyncContextManager[SourceImage]:
        """A context with the image that `value` names, for one request of `viewer`.

        Raises Unauthorized, Forbidden or NotFound if the viewer may not see it.
        """


SOURCES: dict[str, type[Source]] = {}
Class = TypeVar("Class", bound=type[Source])


def source(parameter: str) -> Callable[[Class], Class]:
    """Register a source under its parameter."""

    def register(cls: Class) -> Class:
        cls.parameter = parameter
        SOURCES[parameter] = cls
        return cls

    return register


def load_sources() -> dict[str, type[Source]]:
    """All sources by parameter."""
    discover(transform_service.sources)
    return SOURCES
