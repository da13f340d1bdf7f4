"""What a metadata store is, and the registry of them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

import storage_service.metadata
from service_kit.images import Header
from service_kit.plugins import discover
from service_kit.urls import parts_of

MIGRATIONS = Path(__file__).parents[1] / "migrations"
"""Numbered SQL files in a dialect that PostgreSQL and SQLite share."""


class ImageRecord(Header):
    """One row: an image that was uploaded, its content by SHA-256 (hex), and whether it still exists."""

    image_id: str
    bytes: int
    sha256: str
    visibility: str
    created_at: datetime
    deleted_at: datetime | None = None


COLUMNS = tuple(ImageRecord.model_fields)
PENDING = "SELECT count(*), min(CASE WHEN round = 0 THEN deleted_at END) FROM purges"
"""See MetadataStore.pending_purges."""


@dataclass(frozen=True, slots=True)
class PendingPurge:
    """One row of the outbox: a deletion that the caches have yet to confirm, in its `round` (from 0)."""

    image_id: str
    sha256: str
    deleted_at: datetime
    round: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the list of images, newest first."""

    created_at: datetime
    image_id: str


class LockedContent(Protocol):
    """One content (a SHA-256) that nobody else adds or sweeps meanwhile."""

    async def add(self, record: ImageRecord) -> None:
        """Add a row; it is durable when the lock's context has ended."""

    async def is_used(self) -> bool:
        """Whether an image that is not deleted has this content."""


class MetadataStore(Protocol):
    """Rows of images. Every method raises Unavailable within seconds when the database is down."""

    async def open(self) -> None:
        """Connect, and bring the schema up to date."""

    async def close(self) -> None:
        """Disconnect."""

    def lock_content(self, sha256: str) -> AbstractAsyncContextManager[LockedContent]:
        """Exclude all others, in every process, from adding or sweeping this content."""

    async def find(self, image_id: str) -> ImageRecord | None:
        """The record, also of a deleted image; None if there never was one."""

    async def page(self, limit: int, after: Position | None) -> list[ImageRecord]:
        """At most `limit` records that are not deleted, newest first, those behind `after` only."""

    async def used_contents(self, sha256s: Sequence[str]) -> set[str]:
        """Those of the given contents that an image which is not deleted has."""

    async def mark_deleted(self, image_id: str, at: datetime, purge_at: datetime) -> bool:
        """Mark the image as deleted and put it into the outbox, due at `purge_at`: both, or neither.

        False if it was not there or deleted already.
        """

    async def claim_purges(self, now: datetime, until: datetime, limit: int) -> list[PendingPurge]:
        """At most `limit` purges that are due, the newest first; each for one caller alone: due again at `until`."""

    async def postpone_purge(self, image_id: str, number: int, due_at: datetime) -> None:
        """Have round `number` of a purge at `due_at`."""

    async def pending_purges(self) -> tuple[int, datetime | None]:
        """How many purges there are, and the oldest deletion that was not confirmed even once."""

    async def finish_purge(self, image_id: str) -> None:
        """Take a purge out of the outbox."""


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """How to reach a database."""

    url: str
    password: str | None
    pool: int
    lock_pool: int = 4
    """Connections for contents that are being stored or removed."""


_STORES: dict[str, Callable[[DatabaseConfig], MetadataStore]] = {}
Factory = TypeVar("Factory", bound=Callable[[DatabaseConfig], MetadataStore])


def metadata_store(*schemes: str) -> Callable[[Factory], Factory]:
    """Register a class for URLs of these schemes."""

    def register(factory: Factory) -> Factory:
        _STORES.update(dict.fromkeys(schemes, factory))
        return factory

    return register


def create_store(config: DatabaseConfig) -> MetadataStore:
    """The store for `config.url`; ValueError names the schemes there are."""
    discover(storage_service.metadata)
    scheme = parts_of("DATABASE_URL", config.url).scheme
    if scheme not in _STORES:
        raise ValueError(f"DATABASE_URL has the scheme {scheme!r}; known are: {', '.join(sorted(_STORES))}")
    return _STORES[scheme](config)


def pending_migrations(applied: set[str]) -> list[tuple[str, list[str]]]:
    """(name, statements) of the migrations that are not in `applied`, in order."""
    files = sorted(MIGRATIONS.glob("[0-9]*.sql"))
    return [(file.stem, _statements(file)) for file in files if file.stem not in applied]


def _statements(file: Path) -> list[str]:
    return [statement.strip() for statement in file.read_text().split(";") if statement.strip()]
