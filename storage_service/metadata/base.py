"""The interface of a metadata store, and the registry of stores."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

import storage_service.metadata
from imaging.header import Header
from service_kit.errors import CannotStart
from service_kit.plugins import discover
from service_kit.urls import for_each_host, parts_of

MIGRATIONS = Path(__file__).parents[1] / "migrations"
"""Numbered SQL files in a dialect that both PostgreSQL and SQLite understand."""


class ImageRecord(Header):
    """The record of an image: its header, its content by SHA-256 (hex), and whether it was deleted or is damaged."""

    image_id: str
    bytes: int
    sha256: str
    visibility: str
    created_at: datetime
    deleted_at: datetime | None = None
    damaged_at: datetime | None = None
    """When a scrub found other bytes in the blob than were uploaded."""

    @property
    def header(self) -> Header:
        """The header alone, for those who must not know records."""
        return Header(**{name: getattr(self, name) for name in Header.model_fields})


COLUMNS = tuple(ImageRecord.model_fields)
PENDING = "SELECT count(*), min(CASE WHEN round = 0 THEN deleted_at END) FROM purges"
"""See MetadataStore.pending_purges."""


@dataclass(frozen=True, slots=True)
class PendingPurge:
    """A row of the outbox: a purge that caches have yet to confirm, and its `round`, counted from 0."""

    image_id: str
    sha256: str
    deleted_at: datetime
    """When the image was deleted, or found to be damaged."""
    round: int = 0
    damaged: bool = False
    """Whether the image is damaged, and not deleted."""


@dataclass(frozen=True, slots=True)
class StoredContent:
    """Content that at least one image has, with its size in bytes, and whether a scrub found it damaged."""

    sha256: str
    bytes: int
    damaged: bool


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the list of images, newest first."""

    created_at: datetime
    image_id: str


class LockedContent(Protocol):
    """Content (by SHA-256) that no other task or process can add, sweep or mark now."""

    async def add(self, record: ImageRecord) -> None:
        """Add a record with this content. It is durable once the context of the lock has ended."""

    async def is_used(self) -> bool:
        """Whether an image that is not deleted has this content."""

    async def is_damaged(self) -> bool:
        """Whether a scrub found this content damaged."""

    async def mark_damaged(self, at: datetime) -> None:
        """Mark the images with this content as damaged, and add them to the outbox: all or none.

        It is durable once the context of the lock has ended. Images that are marked keep their mark, without a purge.
        """

    async def mend(self) -> None:
        """Note that the content is whole again. It is durable once the context of the lock has ended."""


class MetadataStore(Protocol):
    """The records of images. Every method raises Unavailable within seconds if the database is down."""

    exclusive: bool
    """Whether this is the only process that uses the database."""
    folder: Path | None
    """Where the database is, if it is on a disk of this machine."""

    async def open(self, *, beside: bool = False) -> None:
        """Connect, and apply pending migrations.

        `beside`: next to a service that may use the same database, for a program that adds and sweeps nothing. Applies
        no migrations, since that service may be older: raises CannotStart if any are pending.
        """

    async def close(self) -> None:
        """Disconnect."""

    def lock_content(self, sha256: str) -> AbstractAsyncContextManager[LockedContent]:
        """A context in which no other task or process can add, sweep or mark this content.

        Raises Unavailable if another one holds the lock for longer than a blob store may take.
        """

    async def find(self, image_id: str) -> ImageRecord | None:
        """The record of an image, deleted or not; None if it never existed."""

    async def page(self, limit: int, after: Position | None) -> list[ImageRecord]:
        """At most `limit` records of images that are not deleted, newest first, after the position `after`."""

    async def used_contents(self, sha256s: Sequence[str]) -> set[str]:
        """Those of the given contents that at least one image still has. Deleted images do not count."""

    async def contents(self, limit: int, after: str) -> list[StoredContent]:
        """At most `limit` contents that at least one image has, by SHA-256, starting after `after`."""

    async def images_with(self, sha256: str, limit: int) -> list[str]:
        """The IDs of at most `limit` images that have this content, oldest first."""

    async def is_purging(self, sha256: str, since: datetime) -> bool:
        """Whether the outbox has an image with this content that was deleted at `since` or later."""

    async def mark_deleted(self, image_id: str, at: datetime, purge_at: datetime) -> bool:
        """Mark the image as deleted and add it to the outbox, due at `purge_at`: both or neither.

        Returns False if the image does not exist or was deleted before.
        """

    async def claim_purges(self, now: datetime, until: datetime, limit: int) -> list[PendingPurge]:
        """At most `limit` purges that are due, newest first. No other caller gets them until `until`."""

    async def postpone_purge(self, purge: PendingPurge, number: int, due_at: datetime) -> None:
        """Schedule round `number` of a purge for `due_at`, unless another purge of the image has replaced it."""

    async def next_purge(self) -> datetime | None:
        """When the next purge is due; None if the outbox is empty."""

    async def pending_purges(self) -> tuple[int, datetime | None]:
        """The number of purges, and the time of the oldest deletion without a single confirmed round."""

    async def finish_purge(self, purge: PendingPurge) -> None:
        """Remove a purge from the outbox, unless another purge of the image has replaced it."""

    async def claim_sweep(self, now: datetime, until: datetime, latest: datetime) -> bool:
        """Whether a sweep is due. If so, only this caller gets True until `until`, or until `schedule_sweep` moves it.

        One that is due after `latest` is due now: the interval, or a clock, has been changed.
        """

    async def schedule_sweep(self, at: datetime) -> None:
        """Make the next sweep due at `at`."""


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """How to connect to a database."""

    url: str
    password: str | None
    pool: int
    lock_pool: int = 4
    """Connections for storing and removing content."""
    prepared_statements: bool = True
    """False: the server may forget prepared statements, since a pooler in between runs each on another connection."""


_STORES: dict[str, Callable[[DatabaseConfig], MetadataStore]] = {}
Factory = TypeVar("Factory", bound=Callable[[DatabaseConfig], MetadataStore])


def metadata_store(*schemes: str) -> Callable[[Factory], Factory]:
    """Register a class for URLs of these schemes."""

    def register(factory: Factory) -> Factory:
        _STORES.update(dict.fromkeys(schemes, factory))
        return factory

    return register


def create_store(config: DatabaseConfig) -> MetadataStore:
    """The store for `config.url`. Raises ValueError for an unknown scheme."""
    discover(storage_service.metadata)
    scheme = {parts_of("DATABASE_URL", url).scheme for url in for_each_host(config.url)}.pop()
    if scheme not in _STORES:
        raise ValueError(f"DATABASE_URL has the unknown scheme {scheme!r}; use one of: {', '.join(sorted(_STORES))}")
    return _STORES[scheme](config)


def pending_migrations(applied: set[str]) -> list[tuple[str, list[str]]]:
    """The name and the statements of each migration that is not in `applied`, in order."""
    files = sorted(MIGRATIONS.glob("[0-9]*.sql"))
    return [(file.stem, _statements(file)) for file in files if file.stem not in applied]


def refuse_pending(applied: set[str]) -> None:
    """Raise CannotStart unless all migrations are in `applied`."""
    pending = [name for name, _ in pending_migrations(applied)]
    if pending:
        raise CannotStart(
            f"the database lacks the migrations {', '.join(pending)}; start the storage service of this version first,"
            " or use the version that the service has"
        )


def _statements(file: Path) -> list[str]:
    return [statement.strip() for statement in file.read_text().split(";") if statement.strip()]
