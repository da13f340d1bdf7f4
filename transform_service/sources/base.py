"""What a source is, and the registry of them."""

import abc
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

import transform_service.sources
from service_kit.images import Header, Locator
from service_kit.plugins import discover
from service_kit.spool import Spool, Spooled
from transform_service.render_pool import RenderPool
from transform_service.settings import TransformSettings

_FRESH_SECONDS = 0.5


async def _nothing_to_confirm() -> None:
    """What came with the request cannot go away."""


@dataclass(frozen=True, slots=True)
class Source:
    """One image to transform: facts about it at once, its bytes as a local file only when they are needed."""

    header: Header
    sha256: str
    cache_control: str
    """What answers made from it may be cached for."""
    local: Callable[[], AbstractAsyncContextManager[Path]]
    """Opens a context in which the image is a file."""
    confirm: Callable[[], Awaitable[None]] = _nothing_to_confirm
    """Raises what became of the image meanwhile: Gone, where it was deleted."""
    image_id: str | None = None
    """Of a stored image."""
    opened: float = field(default_factory=time.monotonic)
    """When it was known to be there."""

    @property
    def is_old(self) -> bool:
        """Whether it may have been deleted for so long that it must be confirmed before an answer goes out."""
        return time.monotonic() - self.opened > _FRESH_SECONDS


@dataclass(frozen=True, slots=True)
class Tools:
    """What sources are made with."""

    settings: TransformSettings
    locator: Locator
    spool: Spool
    pool: RenderPool


class SourceKind(abc.ABC):
    """A way to name an image in a request."""

    parameter: ClassVar[str]
    """The form field or query parameter that names the image."""
    in_url: ClassVar[bool] = True
    """Whether the parameter may stand in a URL (a file cannot)."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools

    async def start(self) -> None:  # noqa: B027  # most need nothing
        """Called once, before the first request."""

    async def close(self) -> None:  # noqa: B027
        """Called once, after the last request."""

    @abc.abstractmethod
    def open(self, value: str | Spooled) -> AbstractAsyncContextManager[Source]:
        """The image that `value` names, for the time of one request."""


SOURCES: dict[str, type[SourceKind]] = {}
Class = TypeVar("Class", bound=type[SourceKind])


def source(parameter: str) -> Callable[[Class], Class]:
    """Register a kind of source under its parameter."""

    def register(cls: Class) -> Class:
        cls.parameter = parameter
        SOURCES[parameter] = cls
        return cls

    return register


def load_sources() -> dict[str, type[SourceKind]]:
    """All kinds of sources by parameter."""
    discover(transform_service.sources)
    return SOURCES
