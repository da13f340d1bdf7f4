"""Metadata in PostgreSQL, with asyncpg."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from service_kit.access import DEFAULT_SPACE
from service_kit.errors import CannotStart, InsufficientStorage, Unavailable
from storage_service.metadata._postgres_hosts import FAILURES, Hosts, NoPrimary
from storage_service.metadata._postgres_room import IS_RESERVED, Room
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
from storage_service.metrics import DATABASE_ERRORS, DATABASE_WAIT

if TYPE_CHECKING:
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

logger = logging.getLogger(__name__)
T = TypeVar("T")

_ANSWER_SECONDS = 1.8  # for a connection and an answer, so that clients get a 503 in under 2 s
_STEP_SECONDS = 1.5  # to connect, and for each statement of a transaction
_START_SECONDS, _AGAIN_SECONDS = 20.0, 0.25  # below gunicorn's timeout for a worker that does not serve yet (30 s)
_LOCK_SECONDS = 30.0  # while content is being stored: as long as an object store may take (blobs.py)
_TABLE_MILLISECONDS = 500  # for the lock on a table to migrate: well below the time limit of the queries behind it
_STATEMENTS = 100  # prepared statements that a connection keeps; those of searches and changes vary
_MIGRATION_LOCK, _FIRST_KEY_LOCK = 0x1A6E5EC, 0x1A6E5ED
_MISTAKES = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
    asyncpg.SyntaxOrAccessError,
)
_REASONS = (
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "rejects the service; check the user name and password in DATABASE_URL",
    ),
    (asyncpg.InvalidCatalogNameError, "does not exist; check the name at the end of DATABASE_URL"),
    (asyncpg.InsufficientPrivilegeError, "denies the service a right; grant its user all rights in the schema"),
    (asyncpg.TooManyConnectionsError, "has no connection left; raise max_connections, or lower DATABASE_POOL"),
    (asyncpg.ReadOnlySQLTransactionError, "only reads at the moment; retry later"),
    (NoPrimary, "is a standby; retry when a server in DATABASE_URL takes writes"),
    *(
        (kind, "is behind a pooler that loses prepared statements; set DATABASE_PREPARED_STATEMENTS=false")
        for kind in (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
    ),
)
"""What is said about errors that have a cure."""
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM images"  # noqa: S608
_INSERT = f"INSERT INTO images ({', '.join(COLUMNS)}) SELECT {', '.join(f'${n + 1}' for n in range(len(COLUMNS)))}"
_SELECT_KEY = f"SELECT {', '.join(KEY_COLUMNS)} FROM keys"  # noqa: S608
_INSERT_KEY = f"""
    INSERT INTO keys ({", ".join(KEY_COLUMNS)}) VALUES ({", ".join(f"${n + 1}" for n in range(len(KEY_COLUMNS)))})
"""  # noqa: S608
_SELECT_SPACE = f"SELECT {', '.join(SPACE_COLUMNS)} FROM spaces"  # noqa: S608
_INSERT_TOKEN = f"""
    INSERT INTO upload_tokens ({", ".join(TOKEN_COLUMNS)})
    VALUES ({", ".join(f"${n + 1}" for n in range(len(TOKEN_COLUMNS)))})
"""  # noqa: S608
_INSERT_AUDIT = f"""
    INSERT INTO audit ({", ".join(AUDIT_COLUMNS)})
    VALUES ({", ".join(f"${n + 1}" for n in range(len(AUDIT_COLUMNS)))})
"""  # noqa: S608
_INSERT_IF_ROOM = f"{_INSERT} WHERE {IS_RESERVED}"

_WALKING = "; ".join(
    f"SET LOCAL {name} = off"
    for name in (
        "enable_bitmapscan",
        "enable_hashagg",
        "enable_hashjoin",
        "enable_mergejoin",
        "enable_seqscan",
        "enable_sort",
        "jit",  # it would compile what looks expensive only because of these settings
    )
)
_NOW_MORE = """
    UPDATE spaces SET bytes = bytes + $2, images = images + 1 WHERE space = $1
    AND (max_bytes IS NULL OR bytes + $2 <= max_bytes) AND (max_images IS NULL OR images < max_images)
"""
_NEW_SPACE = "INSERT INTO spaces (space) VALUES ($1) ON CONFLICT DO NOTHING"
_COUNT_UPLOAD = """
    UPDATE spaces SET minute = greatest(minute, $2), uploads = CASE WHEN minute >= $2 THEN uploads + 1 ELSE 1 END
    WHERE space = $1 AND (max_uploads IS NULL OR CASE WHEN minute >= $2 THEN uploads ELSE 0 END < max_uploads)
"""
_SET_SPACE = """
    INSERT INTO spaces (space, max_bytes, max_images, max_uploads, bytes, images)
    SELECT $1, $2, $3, $4, coalesce(sum(bytes), 0), count(*) FROM images WHERE space = $1 AND deleted_at IS NULL
    ON CONFLICT (space) DO UPDATE SET max_bytes = $2, max_images = $3, max_uploads = $4
"""
_WAIT_FOR_UPLOADS = "LOCK TABLE spaces IN SHARE ROW EXCLUSIVE MODE"
"""Those that have found no row of their space, and so are not counted by it. Later ones find the row."""
_EXPIRE_KEY = "UPDATE keys SET expires_at = least(expires_at, $2) WHERE key_id = $1"
_TRIM = """
    DELETE FROM audit WHERE (at, entry_id) < (SELECT at, entry_id FROM audit ORDER BY at DESC, entry_id DESC
    LIMIT 1 OFFSET $1)
"""
_DELETE = """
    WITH gone AS (
        UPDATE images SET deleted_at = $2 WHERE image_id = $1 AND deleted_at IS NULL
        RETURNING image_id, sha256, space, bytes
    ), less AS (
        UPDATE spaces SET bytes = spaces.bytes - gone.bytes, images = spaces.images - 1 FROM gone
        WHERE spaces.space = gone.space
    )
    INSERT INTO purges (image_id, sha256, deleted_at, round, due_at) SELECT image_id, sha256, $2, 0, $3 FROM gone
    ON CONFLICT (image_id) DO UPDATE SET deleted_at = $2, round = 0, due_at = $3, damaged = FALSE
"""
_DAMAGE = """
    WITH found AS (
        UPDATE images SET damaged_at = $2
        WHERE sha256 = $1 AND deleted_at IS NULL AND damaged_at IS NULL RETURNING image_id
    )
    INSERT INTO purges (image_id, sha256, deleted_at, round, due_at, damaged)
    SELECT image_id, $1, $2, 0, $2, TRUE FROM found
    ON CONFLICT (image_id) DO UPDATE SET deleted_at = $2, round = 0, due_at = $2, damaged = TRUE
"""
_WHOLE = "UPDATE images SET damaged_at = NULL WHERE sha256 = $1 AND deleted_at IS NULL AND damaged_at IS NOT NULL"
_CONTENTS = """
    SELECT sha256, min(bytes), bool_or(damaged_at IS NOT NULL) FROM images
    WHERE deleted_at IS NULL AND sha256 > $1 GROUP BY sha256 ORDER BY sha256 LIMIT $2
"""
_CLAIM = """
    UPDATE purges SET due_at = $2 WHERE image_id IN (
        SELECT image_id FROM purges WHERE due_at <= $1 ORDER BY deleted_at DESC LIMIT $3 FOR UPDATE SKIP LOCKED
    )
    RETURNING image_id, sha256, deleted_at, round, damaged
"""
_CLAIM_SWEEP = """
    INSERT INTO sweeps (name, due_at) VALUES ('blobs', $2)
    ON CONFLICT (name) DO UPDATE SET due_at = $2 WHERE sweeps.due_at <= $1 OR sweeps.due_at > $3
"""
_SAME_PURGE = "image_id = $1 AND deleted_at = $2 AND damaged = $3"
"""A deletion replaces the purge of damage while a round of it may be on its way."""


@metadata_store("postgresql", "postgres")
class PostgresStore:
    """Two pools of connections, which reconnect when the server comes back, or another one takes over.

    An upload holds a connection while the blob store works. Uploads have their own pool, so that a slow blob store does
    not take the connections of queries.
    """

    exclusive = False
    folder: Path | None = None

    def __init__(self, config: DatabaseConfig) -> None:
        self._hosts = Hosts(config.url)
        self._pool = _pool(config, self._hosts, config.pool)
        self._locks = _pool(config, self._hosts, config.lock_pool)
        self.room = Room(self._connection)

    async def open(self, *, beside: bool = False) -> None:
        """Wait for the server, connect, and migrate. Several processes may do this at once.

        With `beside`, it neither waits nor migrates, and raises CannotStart if migrations are pending.
        """
        await self._pool
        await self._locks
        if beside:
            async with self._connection() as connection:
                started = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
                refuse_pending(await _applied(connection) if started else set())
            return
        latest = asyncio.get_running_loop().time() + _START_SECONDS
        await self._wait_for_server()
        async with self._held_connection() as connection:
            while not await self._migrate(connection):
                if asyncio.get_running_loop().time() > latest:
                    raise CannotStart(
                        "another transaction, such as a backup, is using the database, so its tables cannot be changed;"
                        " start the service again when it has ended"
                    )
                await asyncio.sleep(_AGAIN_SECONDS)
        with suppress(InsufficientStorage):  # uploads try again
            await self.room.reserve(self._held_connection)

    async def _migrate(self, connection: "Connection") -> bool:
        """Apply pending migrations: all or none. Returns False if another transaction has a lock on their tables.

        A migration that waits for a lock stops all queries behind it, so it waits for less than they may take.
        """
        try:
            await self._apply_pending(connection)
        except asyncpg.LockNotAvailableError:
            return False
        return True

    async def _apply_pending(self, connection: "Connection") -> None:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK, timeout=60)
            await connection.execute(f"SET LOCAL lock_timeout = {_TABLE_MILLISECONDS}")
            await connection.execute("CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY)")
            for name, statements in pending_migrations(await _applied(connection)):
                for statement in statements:
                    await connection.execute(statement, timeout=None)
                await connection.execute("INSERT INTO schema_migrations VALUES ($1)", name)

    async def _wait_for_server(self) -> None:
        """Wait until the server accepts connections: after a reboot, all parts start at once.

        Raises nothing. If the server stays down or rejects the login, the next query reports that.
        """
        loop = asyncio.get_running_loop()
        start, warned = loop.time(), False
        while loop.time() < start + _START_SECONDS:
            try:
                async with self._locks.acquire():
                    return
            except _MISTAKES:
                return
            except (*FAILURES, NoPrimary) as error:
                if not warned:
                    logger.warning(
                        "waiting up to %g s for the metadata database: %s", _START_SECONDS, str(error) or "no answer"
                    )
                warned = True
            await asyncio.sleep(_AGAIN_SECONDS)

    async def close(self) -> None:
        """Close all connections. A server that does not answer is not waited for."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await asyncio.gather(self._pool.close(), self._locks.close())
        except TimeoutError:
            self._pool.terminate()
            self._locks.terminate()

    async def fetch(self, query: str, *values: object) -> list[Sequence[Any]]:
        """See MetadataStore."""
        async with self._connection() as connection:
            return [tuple(row) for row in await connection.fetch(query, *values)]

    async def walk(self, query: str, *values: object) -> list[Sequence[Any]]:
        """See MetadataStore. The planner takes half of a table for less work than one page of an index."""
        async with self._connection() as connection, connection.transaction(readonly=True):
            await connection.execute(_WALKING)
            return [tuple(row) for row in await connection.fetch(query, *values)]

    async def change(self, statement: str, *values: object) -> int:
        """See MetadataStore."""
        async with self._connection() as connection:
            return int((await connection.execute(statement, *values)).rpartition(" ")[2])

    async def change_together(self, first: Statement, *others: Statement, entry: AuditEntry | None = None) -> bool:
        """See MetadataStore."""

        async def change() -> bool:
            async with self._connection() as connection, connection.transaction():
                statement, *values = first
                if (await connection.execute(str(statement), *values)).endswith(" 0"):
                    return False
                for other, *its in others:
                    await connection.execute(str(other), *its)
                await _add_entry(connection, entry)
                return True

        return await self._surely(change)

    @asynccontextmanager
    async def lock_content(self, sha256: str) -> AsyncIterator["_LockedContent"]:
        """See MetadataStore. A transaction with an advisory lock on the first 63 bits of the hash.

        It reads no tables while the blob store works: it would keep a lock on them, for which a migration would wait,
        and all other queries behind the migration.
        """
        async with self._held_connection() as connection, connection.transaction():
            key = int(sha256[:16], 16) >> 1
            await connection.execute("SELECT pg_advisory_xact_lock($1)", key, timeout=_LOCK_SECONDS)
            yield _LockedContent(self, connection, sha256)

    async def find(self, image_id: str) -> ImageRecord | None:
        """See MetadataStore."""
        async with self._connection() as connection:
            row = await connection.fetchrow(f"{_SELECT} WHERE image_id = $1", image_id)
        return _record(row) if row else None

    async def used_contents(self, sha256s: Sequence[str]) -> set[str]:
        """See MetadataStore."""
        query = "SELECT DISTINCT sha256 FROM images WHERE sha256 = ANY ($1) AND deleted_at IS NULL"
        async with self._connection() as connection:
            return {row["sha256"] for row in await connection.fetch(query, list(sha256s))}

    async def contents(self, limit: int, after: str) -> list[StoredContent]:
        """See MetadataStore."""
        async with self._connection() as connection:
            return [StoredContent(*row) for row in await connection.fetch(_CONTENTS, after, limit)]

    async def images_with(self, sha256: str, limit: int) -> list[str]:
        """See MetadataStore."""
        query = "SELECT image_id FROM images WHERE sha256 = $1 AND deleted_at IS NULL ORDER BY created_at LIMIT $2"
        async with self._connection() as connection:
            return [row["image_id"] for row in await connection.fetch(query, sha256, limit)]

    async def is_purging(self, sha256: str, since: datetime) -> bool:
        """See MetadataStore."""
        query = "SELECT EXISTS (SELECT FROM purges WHERE sha256 = $1 AND deleted_at >= $2 AND NOT damaged)"
        async with self._connection() as connection:
            return bool(await connection.fetchval(query, sha256, since))

    async def is_damaged(self, sha256: str) -> bool:
        """See LockedContent."""
        query = """
            SELECT EXISTS (SELECT FROM images WHERE sha256 = $1 AND deleted_at IS NULL AND damaged_at IS NOT NULL)
        """
        async with self._connection() as connection:
            return bool(await connection.fetchval(query, sha256))

    async def mark_deleted(
        self,
        image_id: str,
        at: datetime,
        purge_at: datetime,
        entry: AuditEntry | None = None,
        also: Sequence[Statement] = (),
    ) -> bool:
        """See MetadataStore."""
        forget = ("DELETE FROM terms WHERE image_id = $1", image_id)
        return await self.change_together((_DELETE, image_id, at, purge_at), forget, *also, entry=entry)

    async def claim_purges(self, now: datetime, until: datetime, limit: int) -> list[PendingPurge]:
        """See MetadataStore."""

        async def claim() -> list[PendingPurge]:
            async with self._connection() as connection:
                return [PendingPurge(*row) for row in await connection.fetch(_CLAIM, now, until, limit)]

        return await self._surely(claim)

    async def postpone_purge(self, purge: PendingPurge, number: int, due_at: datetime) -> None:
        """See MetadataStore."""
        query = f"UPDATE purges SET round = $4, due_at = $5 WHERE {_SAME_PURGE}"  # noqa: S608
        await self._change(query, purge.image_id, purge.deleted_at, purge.damaged, number, due_at)

    async def next_purge(self) -> datetime | None:
        """See MetadataStore."""
        async with self._connection() as connection:
            due_at: datetime | None = await connection.fetchval("SELECT min(due_at) FROM purges")
        return due_at

    async def pending_purges(self) -> tuple[int, datetime | None]:
        """See MetadataStore."""
        async with self._connection() as connection:
            (row,) = await connection.fetch(PENDING)
        return row[0], row[1]

    async def finish_purge(self, purge: PendingPurge) -> None:
        """See MetadataStore."""
        query = f"DELETE FROM purges WHERE {_SAME_PURGE}"  # noqa: S608
        await self._change(query, purge.image_id, purge.deleted_at, purge.damaged)

    async def claim_sweep(self, now: datetime, until: datetime, latest: datetime) -> bool:
        """See MetadataStore."""
        return await self._change(_CLAIM_SWEEP, now, until, latest) == "INSERT 0 1"

    async def schedule_sweep(self, at: datetime) -> None:
        """See MetadataStore."""
        await self._change("UPDATE sweeps SET due_at = $1", at)

    async def add_key(
        self, key: KeyRecord, entry: AuditEntry | None = None, expire: tuple[str, datetime] | None = None
    ) -> None:
        """See MetadataStore."""
        before: list[tuple[object, ...]] = [(_EXPIRE_KEY, *expire)] if expire else []
        if key.space is not None:
            before.append((_NEW_SPACE, key.space))
        await self._change(_INSERT_KEY, *(getattr(key, column) for column in KEY_COLUMNS), before=before, entry=entry)

    async def add_first_key(self, key: KeyRecord, entry: AuditEntry | None = None) -> bool:
        """See MetadataStore."""
        async with self._held_connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _FIRST_KEY_LOCK)
            if await connection.fetchval("SELECT EXISTS (SELECT FROM keys)"):
                return False
            await connection.execute(_INSERT_KEY, *(getattr(key, column) for column in KEY_COLUMNS))
            await _add_entry(connection, entry)
        return True

    async def find_key(self, key_id: str) -> KeyRecord | None:
        """See MetadataStore."""
        async with self._connection() as connection:
            row = await connection.fetchrow(f"{_SELECT_KEY} WHERE key_id = $1", key_id)
        return KeyRecord.model_validate(dict(row)) if row else None

    async def keys(self) -> list[KeyRecord]:
        """See MetadataStore."""
        async with self._connection() as connection:
            rows = await connection.fetch(f"{_SELECT_KEY} ORDER BY created_at, key_id")
        return [KeyRecord.model_validate(dict(row)) for row in rows]

    async def revoke_key(self, key_id: str, at: datetime, entry: AuditEntry | None = None) -> bool:
        """See MetadataStore."""
        query = "UPDATE keys SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL"
        return await self._change(query, key_id, at, entry=entry) == "UPDATE 1"

    async def note_use(self, key_id: str, at: datetime) -> None:
        """See MetadataStore."""
        await self._change("UPDATE keys SET used_at = $2 WHERE key_id = $1", key_id, at)

    async def add_token(self, token: TokenRecord, now: datetime, entry: AuditEntry | None = None) -> None:
        """See MetadataStore."""
        expired = "DELETE FROM upload_tokens WHERE expires_at <= $1", now
        values = [getattr(token, column) for column in TOKEN_COLUMNS]
        await self._change(_INSERT_TOKEN, *values, before=[expired], entry=entry)

    async def find_token(self, token_id: str) -> TokenRecord | None:
        """See MetadataStore."""
        query = f"SELECT {', '.join(TOKEN_COLUMNS)} FROM upload_tokens WHERE token_id = $1"  # noqa: S608
        async with self._connection() as connection:
            row = await connection.fetchrow(query, token_id)
        return TokenRecord.model_validate(dict(row)) if row else None

    async def take_use(self, token_id: str) -> bool:
        """See MetadataStore."""
        query = "UPDATE upload_tokens SET uses_left = uses_left - 1 WHERE token_id = $1 AND uses_left > 0"
        return await self._change(query, token_id) == "UPDATE 1"

    async def give_back_use(self, token_id: str) -> None:
        """See MetadataStore."""
        await self._change("UPDATE upload_tokens SET uses_left = uses_left + 1 WHERE token_id = $1", token_id)

    async def set_space(self, space: Space, entry: AuditEntry | None = None) -> None:
        """See MetadataStore."""
        quotas = space.max_bytes, space.max_images, space.max_uploads
        await self._change(_SET_SPACE, space.space, *quotas, before=[(_WAIT_FOR_UPLOADS,)], entry=entry)

    async def find_space(self, name: str) -> Space | None:
        """See MetadataStore."""
        async with self._connection() as connection:
            row = await connection.fetchrow(f"{_SELECT_SPACE} WHERE space = $1", name)
        return Space.model_validate(dict(row)) if row else None

    async def spaces(self, limit: int, after: str) -> list[Space]:
        """See MetadataStore."""
        async with self._connection() as connection:
            rows = await connection.fetch(f"{_SELECT_SPACE} WHERE space > $1 ORDER BY space LIMIT $2", after, limit)
        return [Space.model_validate(dict(row)) for row in rows]

    async def count_upload(self, space: str, minute: int) -> bool:
        """See MetadataStore."""
        if await self._change(_COUNT_UPLOAD, space, minute) == "UPDATE 1":
            return True
        return await self.find_space(space) is None

    async def add_entry(self, entry: AuditEntry) -> None:
        """See MetadataStore."""
        await self._change(_INSERT_AUDIT, *(getattr(entry, column) for column in AUDIT_COLUMNS))

    async def entries(self, limit: int, key_id: str | None, subject: str | None) -> list[AuditEntry]:
        """See MetadataStore."""
        query = f"""
            SELECT {", ".join(AUDIT_COLUMNS)} FROM audit
            WHERE ($2::text IS NULL OR key_id = $2) AND ($3::text IS NULL OR subject = $3)
            ORDER BY at DESC, entry_id DESC LIMIT $1
        """  # noqa: S608
        async with self._connection() as connection:
            rows = await connection.fetch(query, limit, key_id, subject)
        return [AuditEntry.model_validate(dict(row)) for row in rows]

    async def trim_audit(self, most: int) -> None:
        """See MetadataStore."""
        await self._change(_TRIM, max(0, most - 1))

    async def _change(
        self,
        statement: str,
        *values: object,
        before: Sequence[tuple[object, ...]] = (),
        entry: AuditEntry | None = None,
    ) -> str:
        """Run a statement, even if the disk is full, and return its command tag.

        In the same transaction are other statements `before` it, each with its values, and `entry`, if it changes a
        row.
        """

        async def change() -> str:
            async with self._connection() as connection:
                if not before and entry is None:
                    return await connection.execute(statement, *values)
                async with connection.transaction():
                    for other, *its in before:
                        await connection.execute(str(other), *its)
                    tag = await connection.execute(statement, *values)
                    if not tag.endswith(" 0"):
                        await _add_entry(connection, entry)
                    return tag

        return await self._surely(change)

    async def _surely(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`, which changes the database. If its disk is full, use what is reserved."""
        try:
            return await work()
        except InsufficientStorage:
            await self.room.give_up()
            return await work()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["Connection"]:
        """A connection for one query. It is dropped if the answer takes too long."""
        with _translated():
            async with asyncio.timeout(_ANSWER_SECONDS), self._borrowed(self._pool) as connection:
                yield connection

    @asynccontextmanager
    async def _held_connection(self) -> AsyncIterator["Connection"]:
        """A connection for several statements, with other work between them."""
        with _translated():
            async with self._borrowed(self._locks, _LOCK_SECONDS) as connection:
                yield connection

    @asynccontextmanager
    async def _borrowed(
        self, pool: "asyncpg.Pool[asyncpg.Record]", seconds: float | None = None
    ) -> AsyncIterator["Connection"]:
        with DATABASE_WAIT.time():
            connection = await pool.acquire(timeout=seconds)
        try:
            yield connection
        except (asyncio.CancelledError, TimeoutError) as error:
            connection.terminate()  # otherwise the pool would wait for the server
            if isinstance(error, TimeoutError) and self._hosts.several:
                await self._connect_anew()  # that machine may be gone
            raise
        except asyncpg.ReadOnlySQLTransactionError:
            await self._connect_anew()  # the server has become a standby, and another one the primary
            raise
        finally:
            await pool.release(connection)

    async def _connect_anew(self) -> None:
        """Replace each connection before it is used again."""
        await asyncio.gather(self._pool.expire_connections(), self._locks.expire_connections())


async def _add_entry(connection: "Connection", entry: AuditEntry | None) -> None:
    if entry:
        await connection.execute(_INSERT_AUDIT, *(getattr(entry, column) for column in AUDIT_COLUMNS))


async def _applied(connection: "Connection") -> set[str]:
    return {row["name"] for row in await connection.fetch("SELECT name FROM schema_migrations")}


def _pool(config: DatabaseConfig, hosts: Hosts, size: int) -> "asyncpg.Pool[asyncpg.Record]":
    connect: Any = hosts.connect  # asyncpg's stubs want each option by its name
    return asyncpg.create_pool(
        config.url,
        connect=connect,
        reset=_nothing,
        password=config.password,
        min_size=0,
        max_size=size,
        timeout=_STEP_SECONDS,
        command_timeout=_STEP_SECONDS,
        statement_cache_size=_STATEMENTS if config.prepared_statements else 0,
    )


async def _nothing(_connection: object) -> None:
    """Nothing outlasts a transaction here that would have to be reset. A pooler would reset another connection."""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except asyncpg.DiskFullError as error:
        raise InsufficientStorage("the disk of the database is full; nothing was changed") from error
    except asyncpg.ClientConfigurationError as error:
        raise CannotStart(f"DATABASE_URL is not valid: {error}") from error
    except (*FAILURES, NoPrimary) as error:
        DATABASE_ERRORS.inc()
        reason = next((text for kind, text in _REASONS if isinstance(error, kind)), "does not respond; retry later")
        raise Unavailable(f"the metadata database {reason}") from error


class _LockedContent:
    def __init__(self, store: PostgresStore, connection: "Connection", sha256: str) -> None:
        self._store = store
        self._connection = connection
        self._sha256 = sha256

    async def add(self, record: ImageRecord, entry: AuditEntry | None = None, also: Sequence[Statement] = ()) -> None:
        await self._count(record)
        await self._insert(record)
        await _add_entry(self._connection, entry)
        for statement, *values in also:
            await self._connection.execute(str(statement), *values)

    async def _count(self, record: ImageRecord) -> None:
        """Count the image for its space. Until the transaction ends, other uploads to the space wait."""
        if await self._connection.execute(_NOW_MORE, record.space, record.bytes) == "UPDATE 1":
            return
        row = await self._connection.fetchrow(f"{_SELECT_SPACE} WHERE space = $1", record.space)
        if row:
            raise over_quota(Space.model_validate(dict(row)), record)
        if record.space != DEFAULT_SPACE:
            await self._connection.execute(_NEW_SPACE, record.space)
            await self._connection.execute(_NOW_MORE, record.space, record.bytes)

    async def _insert(self, record: ImageRecord) -> None:
        values = [getattr(record, column) for column in COLUMNS]
        if self._store.room.possible:
            if await self._connection.execute(_INSERT_IF_ROOM, *values) == "INSERT 0 1":
                return
            await self._store.room.reserve()
        await self._connection.execute(_INSERT, *values)

    async def is_used(self) -> bool:
        return bool(await self._store.used_contents([self._sha256]))

    async def is_damaged(self) -> bool:
        return await self._store.is_damaged(self._sha256)

    async def mark_damaged(self, at: datetime) -> None:
        await self._connection.execute(_DAMAGE, self._sha256, at)

    async def mend(self) -> None:
        await self._connection.execute(_WHOLE, self._sha256)


def _record(row: asyncpg.Record) -> ImageRecord:
    return ImageRecord.model_validate(dict(row))
