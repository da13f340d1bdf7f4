"""Metadata in SQLite, with aiosqlite: the default, for a single process."""

import asyncio
import fcntl
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import unquote, urlsplit
from weakref import WeakValueDictionary

import aiosqlite

from service_kit.errors import CannotStart, DiskFailed, InsufficientStorage, Unavailable
from storage_service.metadata._sqlite_room import Room
from storage_service.metadata.base import (
    COLUMNS,
    PENDING,
    DatabaseConfig,
    ImageRecord,
    PendingPurge,
    Position,
    StoredContent,
    metadata_store,
    pending_migrations,
    refuse_pending,
)

logger = logging.getLogger(__name__)

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM images"  # noqa: S608
_INSERT = f"INSERT INTO images ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_ANNOUNCE = """
    INSERT OR REPLACE INTO purges (image_id, sha256, deleted_at, round, due_at)
    SELECT image_id, sha256, deleted_at, 0, ? FROM images WHERE image_id = ?
"""
_DAMAGED = "sha256 = ? AND deleted_at IS NULL AND damaged_at IS NULL"
_WHOLE = "UPDATE images SET damaged_at = NULL WHERE sha256 = ? AND deleted_at IS NULL AND damaged_at IS NOT NULL"
_ANNOUNCE_DAMAGE = f"""
    INSERT OR REPLACE INTO purges (image_id, sha256, deleted_at, round, due_at, damaged)
    SELECT image_id, sha256, ?, 0, ?, TRUE FROM images WHERE {_DAMAGED}
"""  # noqa: S608
_CONTENTS = """
    SELECT sha256, min(bytes), max(damaged_at IS NOT NULL) FROM images
    WHERE deleted_at IS NULL AND sha256 > ? GROUP BY sha256 ORDER BY sha256 LIMIT ?
"""
_CLAIM = """
    UPDATE purges SET due_at = ?
    WHERE image_id IN (SELECT image_id FROM purges WHERE due_at <= ? ORDER BY deleted_at DESC LIMIT ?)
    RETURNING image_id, sha256, deleted_at, round, damaged
"""
_CLAIM_SWEEP = """
    INSERT INTO sweeps (name, due_at) VALUES ('blobs', ?)
    ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at WHERE sweeps.due_at <= ? OR sweeps.due_at > ?
    RETURNING name
"""
_SAME_PURGE = "image_id = ? AND deleted_at = ? AND damaged = ?"
"""A deletion replaces the purge of damage while a round of it may be on its way."""
_FULL = {"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"}
_REASONS = (
    ("SQLITE_READONLY", DiskFailed, "only reads; check the owner of its file and folder, and the mount of its disk"),
    ("SQLITE_BUSY", Unavailable, "is locked by another program; retry later"),
    ("SQLITE_LOCKED", Unavailable, "is locked by another program; retry later"),
    ("SQLITE_IOERR", DiskFailed, "is on a disk that failed; see the log of the kernel"),
    ("SQLITE_CANTOPEN", DiskFailed, "cannot be opened; check the owner of its file and folder"),
    ("SQLITE_CORRUPT", DiskFailed, "is damaged; restore it from a backup"),
    ("SQLITE_NOTADB", DiskFailed, "is not a SQLite database, or damaged; restore it from a backup"),
)
"""The start of SQLite's name of an error, and what is said about it."""
_LOCK_SECONDS, _AGAIN_SECONDS = 30.0, 0.05
T = TypeVar("T")


@metadata_store("sqlite")
class SqliteStore:
    """One connection. Each statement is a transaction, on disk when it returns. `_transaction` groups several."""

    exclusive = True

    def __init__(self, config: DatabaseConfig) -> None:
        parts = urlsplit(config.url)
        self._path = Path(unquote(parts.path.removeprefix("/")))
        if parts.netloc or not config.url.startswith("sqlite:///") or not self._path.name:
            raise ValueError(
                f"DATABASE_URL={config.url!r} names no file; write it with three slashes and a path, such as"
                " sqlite:///var/images.sqlite3, or sqlite:////srv/images.sqlite3 from the root"
            )
        self.folder: Path | None = self._path.parent
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._writing = asyncio.Lock()
        self._room = Room(self._path)
        self._owned = ExitStack()
        self._contents: IO[str]
        self._connection: aiosqlite.Connection

    async def open(self, *, beside: bool = False) -> None:
        """Create the file if necessary, and migrate. Raises CannotStart if another process has it open.

        With `beside`, it does not migrate, and raises CannotStart if the file is missing or migrations are pending.
        """
        if beside and not self._path.exists():
            raise CannotStart(f"the SQLite database {self._path} does not exist; check DATA_DIR or DATABASE_URL")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not beside:
            self._own()
            self._room.give_up_to_start()
        self._contents = self._owned.enter_context(self._path.with_name(f"{self._path.name}.contents").open("w"))
        with _translated():
            self._connection = await aiosqlite.connect(self._path, isolation_level=None)
            try:
                await self._migrate(beside=beside)
            except BaseException:
                await self.close()  # otherwise the connection's thread would keep the process alive
                raise
        if not beside:
            self._room.reserve_log()
            with suppress(InsufficientStorage):  # uploads try again
                self._room.reserve()

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()
        self._owned.close()

    def _own(self) -> None:
        """Claim the database for this process: locks on content would not stop another one."""
        lock = self._owned.enter_context(self._path.with_name(f"{self._path.name}.lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._owned.close()
            raise CannotStart(
                f"another process uses the SQLite database {self._path}, which allows only one; stop it, run a single"
                " worker, or set DATABASE_URL to a PostgreSQL database"
            ) from error

    async def _migrate(self, *, beside: bool) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 1500"):
            await self._connection.execute(f"PRAGMA {pragma}")
        await self._connection.execute("CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY)")
        applied = {row[0] for row in await self._connection.execute_fetchall("SELECT name FROM schema_migrations")}
        if beside:
            refuse_pending(applied)
        for name, statements in pending_migrations(applied):
            done = f"INSERT INTO schema_migrations VALUES ('{name}')"  # noqa: S608  # the name of one of our own files
            script = "; ".join(["BEGIN", *statements, done, "COMMIT"])
            await self._connection.executescript(script)

    @asynccontextmanager
    async def lock_content(self, sha256: str) -> AsyncIterator["_LockedContent"]:
        """See MetadataStore. Locks out other tasks, and a scrub in another process by locking one byte of a file."""
        lock = self._locks.setdefault(sha256, asyncio.Lock())
        place = int(sha256[:16], 16) >> 1
        async with lock:
            await self._lock_place(place)
            try:
                yield _LockedContent(self, sha256)
            finally:
                fcntl.lockf(self._contents, fcntl.LOCK_UN, 1, place)

    async def _lock_place(self, place: int) -> None:
        """Poll: another process rarely holds the lock, and a thread that blocks on it could not be cancelled."""
        latest = asyncio.get_running_loop().time() + _LOCK_SECONDS
        while True:
            try:
                fcntl.lockf(self._contents, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except BlockingIOError as error:
                if asyncio.get_running_loop().time() > latest:
                    raise Unavailable("another process is using the same content; retry later") from error
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return

    async def find(self, image_id: str) -> ImageRecord | None:
        """See MetadataStore."""
        with _translated():
            rows = await self._connection.execute_fetchall(f"{_SELECT} WHERE image_id = ?", [image_id])
        return next((_record(row) for row in rows), None)

    async def page(self, limit: int, after: Position | None) -> list[ImageRecord]:
        """See MetadataStore."""
        older, arguments = "", []
        if after:
            older, arguments = "AND (created_at, image_id) < (?, ?)", [_text(after.created_at), after.image_id]
        query = f"{_SELECT} WHERE deleted_at IS NULL {older} ORDER BY created_at DESC, image_id DESC LIMIT ?"
        with _translated():
            rows = await self._connection.execute_fetchall(query, [*arguments, limit])
        return [_record(row) for row in rows]

    async def used_contents(self, sha256s: Sequence[str]) -> set[str]:
        """See MetadataStore."""
        marks = ", ".join("?" * len(sha256s))
        query = f"SELECT DISTINCT sha256 FROM images WHERE sha256 IN ({marks}) AND deleted_at IS NULL"  # noqa: S608
        with _translated():
            return {row[0] for row in await self._connection.execute_fetchall(query, sha256s)}

    async def contents(self, limit: int, after: str) -> list[StoredContent]:
        """See MetadataStore."""
        with _translated():
            rows = await self._connection.execute_fetchall(_CONTENTS, [after, limit])
        return [StoredContent(row[0], row[1], bool(row[2])) for row in rows]

    async def images_with(self, sha256: str, limit: int) -> list[str]:
        """See MetadataStore."""
        query = "SELECT image_id FROM images WHERE sha256 = ? AND deleted_at IS NULL ORDER BY created_at LIMIT ?"
        with _translated():
            return [row[0] for row in await self._connection.execute_fetchall(query, [sha256, limit])]

    async def is_purging(self, sha256: str, since: datetime) -> bool:
        """See MetadataStore."""
        query = "SELECT 1 FROM purges WHERE sha256 = ? AND deleted_at >= ? AND NOT damaged LIMIT 1"
        with _translated():
            return bool(await self._connection.execute_fetchall(query, [sha256, _text(since)]))

    async def mark_damaged(self, sha256: str, at: datetime) -> None:
        """See LockedContent."""

        async def both() -> None:
            async with self._transaction() as connection:
                await connection.execute(_ANNOUNCE_DAMAGE, [_text(at), _text(at), sha256])
                await connection.execute(f"UPDATE images SET damaged_at = ? WHERE {_DAMAGED}", [_text(at), sha256])  # noqa: S608

        await _whole(self._surely(both))

    async def is_damaged(self, sha256: str) -> bool:
        """See LockedContent."""
        query = "SELECT 1 FROM images WHERE sha256 = ? AND deleted_at IS NULL AND damaged_at IS NOT NULL LIMIT 1"
        with _translated():
            return bool([*await self._connection.execute_fetchall(query, [sha256])])

    async def mark_deleted(self, image_id: str, at: datetime, purge_at: datetime) -> bool:
        """See MetadataStore."""
        gone = "UPDATE images SET deleted_at = ? WHERE image_id = ? AND deleted_at IS NULL"

        async def both() -> bool:
            async with self._transaction() as connection:
                cursor = await connection.execute(gone, [_text(at), image_id])
                if cursor.rowcount:
                    await connection.execute(_ANNOUNCE, [_text(purge_at), image_id])
            return cursor.rowcount == 1

        return await _whole(self._surely(both))

    async def claim_purges(self, now: datetime, until: datetime, limit: int) -> list[PendingPurge]:
        """See MetadataStore."""
        rows = await self._changed(_CLAIM, until, now, limit)
        return [PendingPurge(row[0], row[1], datetime.fromisoformat(row[2]), row[3], bool(row[4])) for row in rows]

    async def postpone_purge(self, purge: PendingPurge, number: int, due_at: datetime) -> None:
        """See MetadataStore."""
        query = f"UPDATE purges SET round = ?, due_at = ? WHERE {_SAME_PURGE}"  # noqa: S608
        await self.write(query, number, due_at, purge.image_id, purge.deleted_at, purge.damaged)

    async def next_purge(self) -> datetime | None:
        """See MetadataStore."""
        with _translated():
            ((due_at,),) = await self._connection.execute_fetchall("SELECT min(due_at) FROM purges")
        return datetime.fromisoformat(due_at) if due_at else None

    async def pending_purges(self) -> tuple[int, datetime | None]:
        """See MetadataStore."""
        with _translated():
            ((number, oldest),) = await self._connection.execute_fetchall(PENDING)
        return number, datetime.fromisoformat(oldest) if oldest else None

    async def finish_purge(self, purge: PendingPurge) -> None:
        """See MetadataStore."""
        query = f"DELETE FROM purges WHERE {_SAME_PURGE}"  # noqa: S608
        await self.write(query, purge.image_id, purge.deleted_at, purge.damaged)

    async def claim_sweep(self, now: datetime, until: datetime, latest: datetime) -> bool:
        """See MetadataStore."""
        return bool(await self._changed(_CLAIM_SWEEP, until, now, latest))

    async def schedule_sweep(self, at: datetime) -> None:
        """See MetadataStore."""
        await self.write("UPDATE sweeps SET due_at = ?", at)

    async def add(self, record: ImageRecord) -> None:
        """Add a record. What the disk has left is for deletions."""
        self._room.reserve()
        await self._write(_INSERT, *(getattr(record, column) for column in COLUMNS))

    async def _changed(self, statement: str, *values: object) -> list[sqlite3.Row]:
        """Run one statement as a transaction, even if the disk is full, and return the rows that it changed."""

        async def change() -> list[sqlite3.Row]:
            async with self._writing:
                with _translated():
                    return [*await self._connection.execute_fetchall(statement, _bound(values))]

        return await self._surely(change)

    async def write(self, statement: str, *values: object) -> None:
        """Run one statement as a transaction, even if the disk is full."""
        await self._surely(lambda: self._write(statement, *values))

    async def _write(self, statement: str, *values: object) -> None:
        async with self._writing:
            with _translated():
                await self._connection.execute(statement, _bound(values))

    async def _surely(self, work: Callable[[], Coroutine[None, None, T]]) -> T:
        """Do `work`, which changes the database, all or nothing. If the disk is full, use what is reserved."""
        try:
            return await work()
        except InsufficientStorage:
            if not self._room.give_up():
                raise
            logger.warning("the disk of the metadata database is full; using the room that is reserved for deletions")
            return await work()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """Run several statements as one transaction. Other writes wait, since they share the connection."""
        async with self._writing:
            with _translated():
                await self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    await self._connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):  # after some errors, SQLite has rolled back itself
                        await self._connection.execute("ROLLBACK")
                    raise


class _LockedContent:
    def __init__(self, store: SqliteStore, sha256: str) -> None:
        self._store = store
        self._sha256 = sha256

    async def add(self, record: ImageRecord) -> None:
        await self._store.add(record)

    async def is_used(self) -> bool:
        return bool(await self._store.used_contents([self._sha256]))

    async def is_damaged(self) -> bool:
        return await self._store.is_damaged(self._sha256)

    async def mark_damaged(self, at: datetime) -> None:
        await self._store.mark_damaged(self._sha256, at)

    async def mend(self) -> None:
        await self._store.write(_WHOLE, self._sha256)


async def _whole(work: Coroutine[None, None, T]) -> T:
    """Finish `work` even if the caller is cancelled: half a transaction would block all later ones."""
    return await asyncio.shield(asyncio.create_task(work))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name in _FULL:
            raise InsufficientStorage("the disk of the database is full; nothing was changed") from error
        for start, kind, reason in _REASONS:
            if name.startswith(start):
                raise kind(f"the metadata database {reason}") from error
        raise Unavailable("the metadata database does not respond; retry later") from error


def _bound(values: Sequence[object]) -> list[object]:
    return [_text(value) if isinstance(value, datetime) else value for value in values]


def _text(moment: datetime) -> str:
    """A time as text of fixed width, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _record(row: sqlite3.Row) -> ImageRecord:
    return ImageRecord.model_validate(dict(zip(COLUMNS, row, strict=True)))
