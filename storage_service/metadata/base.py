"""The interface of a metadata store, and the registry of stores."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

import storage_service.metadata
from imaging.header import Header
from service_kit.access import DEFAULT_SPACE
from service_kit.errors import CannotStart, Forbidden
from service_kit.plugins import discover
from service_kit.urls import for_each_host, parts_of

MIGRATIONS = Path(__file__).parents[1] / "migrations"
"""Numbered SQL files in a dialect that both PostgreSQL and SQLite understand."""


class Labels(BaseModel):
    """What people say about an image."""

    model_config = ConfigDict(frozen=True)

    original_filename: str = ""
    """The name of the file that was uploaded."""
    title: str = ""
    alt: str = ""
    """What the picture shows, for those who do not see it."""
    tags: str = "[]"
    """A JSON list."""
    metadata: str = "{}"
    """A JSON object."""
    focus_x: float | None = None
    """Where the subject is, as a share of the upright width; None: unknown."""
    focus_y: float | None = None
    expires_at: datetime | None = None
    """When it is deleted; None: never."""


class ImageRecord(Header, Labels):
    """The record of an image: its header, its content by SHA-256 (hex), and whether it was deleted or is damaged."""

    image_id: str
    bytes: int
    sha256: str
    visibility: str
    created_at: datetime
    deleted_at: datetime | None = None
    space: str = DEFAULT_SPACE
    damaged_at: datetime | None = None
    """When a scrub found other bytes in the blob than were uploaded."""

    @property
    def header(self) -> Header:
        """The header alone, for those who must not know records."""
        return Header(**{name: getattr(self, name) for name in Header.model_fields})


class KeyRecord(BaseModel):
    """A key of a client, without its secret."""

    model_config = ConfigDict(frozen=True)

    key_id: str
    digest: str
    """The SHA-256 (hex) of the secret."""
    name: str
    scopes: str
    """Separated by spaces."""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None
    space: str | None = None
    """The only space that it may use; None: all."""


class TokenRecord(BaseModel):
    """An upload token, without its secret."""

    model_config = ConfigDict(frozen=True)

    token_id: str
    digest: str
    """The SHA-256 (hex) of the secret."""
    key_id: str
    """The key that asked for it; empty where nobody needs a key."""
    space: str
    visibility: str
    formats: str
    """Separated by spaces; empty: all."""
    max_bytes: int
    uses_left: int
    expires_at: datetime


class Space(BaseModel):
    """A space, its quotas (None: none), and what it has."""

    model_config = ConfigDict(frozen=True)

    space: str
    max_bytes: int | None = None
    max_images: int | None = None
    max_uploads: int | None = None
    """Per minute."""
    bytes: int = 0
    images: int = 0


class AuditEntry(BaseModel):
    """Who changed what."""

    model_config = ConfigDict(frozen=True)

    entry_id: str
    at: datetime
    key_id: str
    """`cli` for the command line."""
    action: str
    subject: str
    """The ID of an image, a key or a token, the name of a space, or a URL without its signature."""
    space: str
    request_id: str


Statement = tuple[object, ...]
"""A statement, as for `MetadataStore.change`, and its values."""
COLUMNS = tuple(ImageRecord.model_fields)
KEY_COLUMNS = tuple(KeyRecord.model_fields)
TOKEN_COLUMNS = tuple(TokenRecord.model_fields)
SPACE_COLUMNS = tuple(Space.model_fields)
AUDIT_COLUMNS = tuple(AuditEntry.model_fields)
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

    async def add(self, record: ImageRecord, entry: AuditEntry | None = None, also: Sequence[Statement] = ()) -> None:
        """Add a record with this content, and an entry. It is durable once the context of the lock has ended.

        `also`: further statements in the same transaction.

        Raises Forbidden if the quotas of its space do not allow it.
        """

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

    async def fetch(self, query: str, *values: object) -> list[Sequence[Any]]:
        """The rows of a query that both PostgreSQL and SQLite understand. Its values are `$1`, `$2` and so on."""

    async def walk(self, query: str, *values: object) -> list[Sequence[Any]]:
        """Like `fetch`, for a query that follows indexes and stops early: nothing is sorted or hashed as a whole."""

    async def change(self, statement: str, *values: object) -> int:
        """Run a statement like that, and return how many rows it changed. It is durable when this returns.

        Raises InsufficientStorage if the disk is full: what is reserved for deletions stays reserved.
        """

    async def change_together(self, first: Statement, *others: Statement, entry: AuditEntry | None = None) -> bool:
        """Run statements, and add `entry`: all or nothing, and nothing if the first changes no row.

        Returns whether it changed one. Works even if the disk is full.
        """

    def lock_content(self, sha256: str) -> AbstractAsyncContextManager[LockedContent]:
        """A context in which no other task or process can add, sweep or mark this content.

        Raises Unavailable if another one holds the lock for longer than a blob store may take.
        """

    async def find(self, image_id: str) -> ImageRecord | None:
        """The record of an image, deleted or not; None if it never existed."""

    async def used_contents(self, sha256s: Sequence[str]) -> set[str]:
        """Those of the given contents that at least one image still has. Deleted images do not count."""

    async def contents(self, limit: int, after: str) -> list[StoredContent]:
        """At most `limit` contents that at least one image has, by SHA-256, starting after `after`."""

    async def images_with(self, sha256: str, limit: int) -> list[str]:
        """The IDs of at most `limit` images that have this content, oldest first."""

    async def is_purging(self, sha256: str, since: datetime) -> bool:
        """Whether the outbox has an image with this content that was deleted at `since` or later."""

    async def mark_deleted(
        self,
        image_id: str,
        at: datetime,
        purge_at: datetime,
        entry: AuditEntry | None = None,
        also: Sequence[Statement] = (),
    ) -> bool:
        """Mark the image as deleted, remove its terms, and add it to the outbox, due at `purge_at`, and an entry.

        All or nothing. `also`: further statements in the same transaction.

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

    async def add_key(
        self, key: KeyRecord, entry: AuditEntry | None = None, expire: tuple[str, datetime] | None = None
    ) -> None:
        """Add a key, its space if it is new, and an entry: all or nothing.

        `expire`: the ID of a key that it replaces, and when that one expires, unless it expires earlier.
        """

    async def add_first_key(self, key: KeyRecord, entry: AuditEntry | None = None) -> bool:
        """Add a key and an entry if there has never been any key. Of several processes, only one does.

        Returns whether it was added.
        """

    async def find_key(self, key_id: str) -> KeyRecord | None:
        """A key, revoked or not; None if it never existed."""

    async def keys(self) -> list[KeyRecord]:
        """All keys, oldest first."""

    async def revoke_key(self, key_id: str, at: datetime, entry: AuditEntry | None = None) -> bool:
        """Revoke a key, and add an entry. Returns False if it does not exist, or was revoked before."""

    async def note_use(self, key_id: str, at: datetime) -> None:
        """Note when a key was last used."""

    async def add_token(self, token: TokenRecord, now: datetime, entry: AuditEntry | None = None) -> None:
        """Add an upload token and an entry, and remove tokens that have expired."""

    async def find_token(self, token_id: str) -> TokenRecord | None:
        """An upload token; None if it never existed, or was removed after it had expired."""

    async def take_use(self, token_id: str) -> bool:
        """Take one use of an upload token. Returns False if it has none left."""

    async def give_back_use(self, token_id: str) -> None:
        """Give a use back, since the upload failed."""

    async def set_space(self, space: Space, entry: AuditEntry | None = None) -> None:
        """Set the quotas of a space, which may be new. What it has is counted, and not set."""

    async def find_space(self, name: str) -> Space | None:
        """A space; None if it has no row."""

    async def spaces(self, limit: int, after: str) -> list[Space]:
        """At most `limit` spaces, by name, starting after `after`."""

    async def count_upload(self, space: str, minute: int) -> bool:
        """Count an upload in this minute. Returns False if the space allows no more."""

    async def add_entry(self, entry: AuditEntry) -> None:
        """Add an entry to the audit trail."""

    async def entries(self, limit: int, key_id: str | None, subject: str | None) -> list[AuditEntry]:
        """At most `limit` entries, newest first; those of a key or about a subject, unless these are None."""

    async def trim_audit(self, most: int) -> None:
        """Remove the oldest entries, so that `most` remain."""


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """How to connect to a database."""

    url: str
    password: Callable[[], str] | None
    """Asked for each connection, since it may change; None: that in the URL, if any."""
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


def over_quota(space: Space, record: ImageRecord) -> Forbidden:
    """The error for an image for which a space has no room."""
    if space.max_images is not None and space.images >= space.max_images:
        return Forbidden(
            f"the space {space.space!r} has its {space.max_images} images; delete some, or raise its quota"
        )
    return Forbidden(
        f"the space {space.space!r} has {space.bytes} of its {space.max_bytes} bytes, and the image has {record.bytes};"
        " delete some images, or ask for more"
    )


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
