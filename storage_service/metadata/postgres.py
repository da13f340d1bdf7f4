"""Metadata in PostgreSQL, with asyncpg."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from service_kit.errors import CannotStart, InsufficientStorage, Unavailable
from storage_service.metadata._postgres_hosts import FAILURES, Hosts, NoPrimary
from storage_service.metadata._postgres_room import IS_RESERVED, Room
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
_STATEMENTS = 100  # prepared statements that a connection keeps: more than there are here
_MIGRATION_LOCK = 0x1A6E5EC
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
_INSERT_IF_ROOM = f"{_INSERT} WHERE {IS_RESERVED}"

_DELETE = """
    WITH gone AS (
        UPDATE images SET deleted_at = $2 WHERE image_id = $1 AND deleted_at IS NULL RETURNING image_id, sha256
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
                    logger.warning("waiting up to %g s for the metadata database: %r", _START_SECONDS, error)
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

    async def page(self, limit: int, after: Position | None) -> list[ImageRecord]:
        """See MetadataStore."""
        older, arguments = "", []
        if after:
            older, arguments = "AND (created_at, image_id) < ($2, $3)", [after.created_at, after.image_id]
        query = f"{_SELECT} WHERE deleted_at IS NULL {older} ORDER BY created_at DESC, image_id DESC LIMIT $1"
        async with self._connection() as connection:
            return [_record(row) for row in await connection.fetch(query, limit, *arguments)]

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

    async def mark_deleted(self, image_id: str, at: datetime, purge_at: datetime) -> bool:
        """See MetadataStore."""
        return await self._change(_DELETE, image_id, at, purge_at) == "INSERT 0 1"

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

    async def _change(self, statement: str, *values: object) -> str:
        """Run one statement, even if the disk is full, and return its command tag."""

        async def change() -> str:
            async with self._connection() as connection:
                return await connection.execute(statement, *values)

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

    async def add(self, record: ImageRecord) -> None:
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
