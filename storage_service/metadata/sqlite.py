"""Metadata in SQLite, with aiosqlite: the default, for a single process."""

import asyncio
import fcntl
import logging
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import unquote, urlsplit
from weakref import WeakValueDictionary

import aiosqlite

from service_kit.access import DEFAULT_SPACE
from service_kit.errors import CannotStart, DiskFailed, InsufficientStorage, Unavailable
from storage_service.metadata._sqlite_room import Room
from storage_service.metadata.base import (
    AUDIT_COLUMNS,
    COLUMNS,
    KEY_COLUMNS,
    PENDING,
    SPACE_COLUMNS,
    TOKEN_COLUMNS,
    AuditEntry,
    DatabaseConfig,
    ImageRecord,
    KeyRecord,
    PendingPurge,
    Space,
    Statement,
    StoredContent,
    TokenRecord,
    metadata_store,
    over_quota,
    pending_migrations,
    refuse_pending,
)

logger = logging.getLogger(__name__)

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM images"  # noqa: S608
_INSERT = f"INSERT INTO images ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_SELECT_KEY = f"SELECT {', '.join(KEY_COLUMNS)} FROM keys"  # noqa: S608
_INSERT_KEY = f"INSERT INTO keys ({', '.join(KEY_COLUMNS)}) VALUES ({', '.join('?' * len(KEY_COLUMNS))})"  # noqa: S608
_INSERT_FIRST_KEY = f"""
    INSERT INTO keys ({", ".join(KEY_COLUMNS)}) SELECT {", ".join("?" * len(KEY_COLUMNS))}
    WHERE NOT EXISTS (SELECT 1 FROM keys)
"""  # noqa: S608
_SELECT_SPACE = f"SELECT {', '.join(SPACE_COLUMNS)} FROM spaces"  # noqa: S608
_INSERT_TOKEN = f"""
    INSERT INTO upload_tokens ({", ".join(TOKEN_COLUMNS)}) VALUES ({", ".join("?" * len(TOKEN_COLUMNS))})
"""  # noqa: S608
_INSERT_AUDIT = f"INSERT INTO audit ({', '.join(AUDIT_COLUMNS)}) VALUES ({', '.join('?' * len(AUDIT_COLUMNS))})"  # noqa: S608
_NOW_MORE = """
    UPDATE spaces SET bytes = bytes + ?2, images = images + 1 WHERE space = ?1
    AND (max_bytes IS NULL OR bytes + ?2 <= max_bytes) AND (max_images IS NULL OR images < max_images)
"""
_NOW_LESS = """
    UPDATE spaces SET bytes = spaces.bytes - image.bytes, images = spaces.images - 1
    FROM (SELECT space, bytes FROM images WHERE image_id = ?) AS image WHERE spaces.space = image.space
"""
_FORGET = "DELETE FROM terms WHERE image_id = ?"
_NEW_SPACE = "INSERT OR IGNORE INTO spaces (space) VALUES (?)"
_COUNT_UPLOAD = """
    UPDATE spaces SET minute = max(minute, ?2), uploads = CASE WHEN minute >= ?2 THEN uploads + 1 ELSE 1 END
    WHERE space = ?1 AND (max_uploads IS NULL OR CASE WHEN minute >= ?2 THEN uploads ELSE 0 END < max_uploads)
    RETURNING space
"""
_SET_SPACE = """
    INSERT INTO spaces (space, max_bytes, max_images, max_uploads, bytes, images)
    SELECT ?1, ?2, ?3, ?4, coalesce(sum(bytes), 0), count(*) FROM images WHERE space = ?1 AND deleted_at IS NULL
    ON CONFLICT (space) DO UPDATE SET
        max_bytes = excluded.max_bytes, max_images = excluded.max_images, max_uploads = excluded.max_uploads
"""
_EXPIRE_KEY = "UPDATE keys SET expires_at = min(?2, coalesce(expires_at, ?2)) WHERE key_id = ?1"
_TRIM = """
    DELETE FROM audit WHERE (at, entry_id) < (SELECT at, entry_id FROM audit ORDER BY at DESC, entry_id DESC
    LIMIT 1 OFFSET ?)
"""
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
_PLACE = re.compile(r"\$(\d+)")
"""A value as PostgreSQL writes it."""
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

    async def fetch(self, query: str, *values: object) -> list[Sequence[Any]]:
        """See MetadataStore."""
        with _translated():
            return [*await self._connection.execute_fetchall(_placed(query), _bound(values))]

    async def walk(self, query: str, *values: object) -> list[Sequence[Any]]:
        """See MetadataStore."""
        return await self.fetch(query, *values)

    async def change(self, statement: str, *values: object) -> int:
        """See MetadataStore."""
        async with self._writing:
            with _translated():
                return (await self._connection.execute(_placed(statement), _bound(values))).rowcount

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

    async def mark_deleted(
        self,
        image_id: str,
        at: datetime,
        purge_at: datetime,
        entry: AuditEntry | None = None,
        also: Sequence[Statement] = (),
    ) -> bool:
        """See MetadataStore."""
        gone = "UPDATE images SET deleted_at = ? WHERE image_id = ? AND deleted_at IS NULL"
        return await self.change_together(
            (gone, at, image_id),
            (_ANNOUNCE, purge_at, image_id),
            (_NOW_LESS, image_id),
            (_FORGET, image_id),
            *also,
            entry=entry,
        )

    async def change_together(self, first: Statement, *others: Statement, entry: AuditEntry | None = None) -> bool:
        """See MetadataStore. Statements may also number their values as SQLite does."""

        async def change() -> bool:
            async with self._transaction() as connection:
                statement, *values = first
                cursor = await connection.execute(_placed(str(statement)), _bound(values))
                if cursor.rowcount:
                    for statement, *values in others:
                        await connection.execute(_placed(str(statement)), _bound(values))
                    if entry:
                        await connection.execute(_INSERT_AUDIT, _bound([getattr(entry, c) for c in AUDIT_COLUMNS]))
            return cursor.rowcount > 0

        return await _whole(self._surely(change))

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

    async def add_key(
        self, key: KeyRecord, entry: AuditEntry | None = None, expire: tuple[str, datetime] | None = None
    ) -> None:
        """See MetadataStore."""
        others: list[tuple[object, ...]] = [(_EXPIRE_KEY, *expire)] if expire else []
        if key.space is not None:
            others.append((_NEW_SPACE, key.space))
        await self.change_together(
            (_INSERT_KEY, *(getattr(key, column) for column in KEY_COLUMNS)), *others, entry=entry
        )

    async def add_first_key(self, key: KeyRecord, entry: AuditEntry | None = None) -> bool:
        """See MetadataStore."""
        return await self.change_together(
            (_INSERT_FIRST_KEY, *(getattr(key, column) for column in KEY_COLUMNS)), entry=entry
        )

    async def find_key(self, key_id: str) -> KeyRecord | None:
        """See MetadataStore."""
        with _translated():
            rows = await self._connection.execute_fetchall(f"{_SELECT_KEY} WHERE key_id = ?", [key_id])
        return next((_key(row) for row in rows), None)

    async def keys(self) -> list[KeyRecord]:
        """See MetadataStore."""
        with _translated():
            rows = await self._connection.execute_fetchall(f"{_SELECT_KEY} ORDER BY created_at, key_id")
        return [_key(row) for row in rows]

    async def revoke_key(self, key_id: str, at: datetime, entry: AuditEntry | None = None) -> bool:
        """See MetadataStore."""
        query = "UPDATE keys SET revoked_at = ? WHERE key_id = ? AND revoked_at IS NULL"
        return await self.change_together((query, at, key_id), entry=entry)

    async def note_use(self, key_id: str, at: datetime) -> None:
        """See MetadataStore."""
        await self.write("UPDATE keys SET used_at = ? WHERE key_id = ?", at, key_id)

    async def add_token(self, token: TokenRecord, now: datetime, entry: AuditEntry | None = None) -> None:
        """See MetadataStore."""
        values = [getattr(token, column) for column in TOKEN_COLUMNS]
        expired = "DELETE FROM upload_tokens WHERE expires_at <= ?"
        await self.change_together((_INSERT_TOKEN, *values), (expired, now), entry=entry)

    async def find_token(self, token_id: str) -> TokenRecord | None:
        """See MetadataStore."""
        query = f"SELECT {', '.join(TOKEN_COLUMNS)} FROM upload_tokens WHERE token_id = ?"  # noqa: S608
        with _translated():
            rows = await self._connection.execute_fetchall(query, [token_id])
        found = (TokenRecord.model_validate(dict(zip(TOKEN_COLUMNS, row, strict=True))) for row in rows)
        return next(found, None)

    async def take_use(self, token_id: str) -> bool:
        """See MetadataStore."""
        query = "UPDATE upload_tokens SET uses_left = uses_left - 1 WHERE token_id = ? AND uses_left > 0"
        return await self.change_together((query, token_id))

    async def give_back_use(self, token_id: str) -> None:
        """See MetadataStore."""
        await self.write("UPDATE upload_tokens SET uses_left = uses_left + 1 WHERE token_id = ?", token_id)

    async def set_space(self, space: Space, entry: AuditEntry | None = None) -> None:
        """See MetadataStore."""
        await self.change_together(
            (_SET_SPACE, space.space, space.max_bytes, space.max_images, space.max_uploads), entry=entry
        )

    async def find_space(self, name: str) -> Space | None:
        """See MetadataStore."""
        with _translated():
            rows = await self._connection.execute_fetchall(f"{_SELECT_SPACE} WHERE space = ?", [name])
        return next((_space(row) for row in rows), None)

    async def spaces(self, limit: int, after: str) -> list[Space]:
        """See MetadataStore."""
        query = f"{_SELECT_SPACE} WHERE space > ? ORDER BY space LIMIT ?"
        with _translated():
            return [_space(row) for row in await self._connection.execute_fetchall(query, [after, limit])]

    async def count_upload(self, space: str, minute: int) -> bool:
        """See MetadataStore."""
        return bool(await self._changed(_COUNT_UPLOAD, space, minute)) or await self.find_space(space) is None

    async def add_entry(self, entry: AuditEntry) -> None:
        """See MetadataStore."""
        await self.write(_INSERT_AUDIT, *(getattr(entry, column) for column in AUDIT_COLUMNS))

    async def entries(self, limit: int, key_id: str | None, subject: str | None) -> list[AuditEntry]:
        """See MetadataStore."""
        query = f"""
            SELECT {", ".join(AUDIT_COLUMNS)} FROM audit
            WHERE (?2 IS NULL OR key_id = ?2) AND (?3 IS NULL OR subject = ?3)
            ORDER BY at DESC, entry_id DESC LIMIT ?1
        """  # noqa: S608
        with _translated():
            rows = await self._connection.execute_fetchall(query, [limit, key_id, subject])
        return [AuditEntry.model_validate(dict(zip(AUDIT_COLUMNS, row, strict=True))) for row in rows]

    async def trim_audit(self, most: int) -> None:
        """See MetadataStore."""
        await self.write(_TRIM, max(0, most - 1))

    async def add(self, record: ImageRecord, entry: AuditEntry | None = None, also: Sequence[Statement] = ()) -> None:
        """Add a record and an entry, and count it. What the disk has left is for deletions.

        Raises Forbidden if the quotas of its space do not allow it.
        """
        self._room.reserve()

        async def add() -> None:
            async with self._transaction() as connection:
                await self._count(connection, record)
                await connection.execute(_INSERT, _bound([getattr(record, column) for column in COLUMNS]))
                if entry:
                    await connection.execute(_INSERT_AUDIT, _bound([getattr(entry, c) for c in AUDIT_COLUMNS]))
                for statement, *values in also:
                    await connection.execute(_placed(str(statement)), _bound(values))

        await _whole(add())

    async def _count(self, connection: aiosqlite.Connection, record: ImageRecord) -> None:
        counted = await connection.execute(_NOW_MORE, [record.space, record.bytes])
        if counted.rowcount:
            return
        rows = await connection.execute_fetchall(f"{_SELECT_SPACE} WHERE space = ?", [record.space])
        for row in rows:
            raise over_quota(_space(row), record)
        if record.space != DEFAULT_SPACE:
            await connection.execute(_NEW_SPACE, [record.space])
            await connection.execute(_NOW_MORE, [record.space, record.bytes])

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

    async def add(self, record: ImageRecord, entry: AuditEntry | None = None, also: Sequence[Statement] = ()) -> None:
        await self._store.add(record, entry, also)

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


def _placed(statement: str) -> str:
    """A statement for both databases as SQLite numbers its values."""
    return _PLACE.sub(r"?\1", statement)


def _bound(values: Sequence[object]) -> list[object]:
    return [_text(value) if isinstance(value, datetime) else value for value in values]


def _text(moment: datetime) -> str:
    """A time as text of fixed width, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _record(row: sqlite3.Row) -> ImageRecord:
    return ImageRecord.model_validate(dict(zip(COLUMNS, row, strict=True)))


def _space(row: sqlite3.Row) -> Space:
    return Space.model_validate(dict(zip(SPACE_COLUMNS, row, strict=True)))


def _key(row: sqlite3.Row) -> KeyRecord:
    return KeyRecord.model_validate(dict(zip(KEY_COLUMNS, row, strict=True)))
