"""Metadata in PostgreSQL, through asyncpg."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg

from service_kit.errors import InsufficientStorage, Unavailable
from storage_service.metadata.base import (
    COLUMNS,
    DatabaseConfig,
    ImageRecord,
    Position,
    metadata_store,
    pending_migrations,
)

if TYPE_CHECKING:
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

_WAIT_SECONDS = 1.5  # "503 in under 2 s" (reliability): for a connection, and for one statement's answer
_MIGRATION_LOCK = 0x1A6E5EC
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM images"  # noqa: S608
_INSERT = f"INSERT INTO images ({', '.join(COLUMNS)}) VALUES ({', '.join(f'${n + 1}' for n in range(len(COLUMNS)))})"  # noqa: S608


@metadata_store("postgresql", "postgres")
class PostgresStore:
    """A pool of connections; it reconnects by itself when the server comes back."""

    def __init__(self, config: DatabaseConfig) -> None:
        self._pool: asyncpg.Pool[asyncpg.Record] = asyncpg.create_pool(
            config.url,
            password=config.password,
            min_size=0,
            max_size=config.pool,
            timeout=_WAIT_SECONDS,
            command_timeout=_WAIT_SECONDS,
        )

    async def open(self) -> None:
        """Connect and migrate; several processes may do so at once."""
        await self._pool
        async with self._connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK, timeout=60)
            await connection.execute("CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY)")
            applied = {row["name"] for row in await connection.fetch("SELECT name FROM schema_migrations")}
            for name, statements in pending_migrations(applied):
                for statement in statements:
                    await connection.execute(statement, timeout=None)
                await connection.execute("INSERT INTO schema_migrations VALUES ($1)", name)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    @asynccontextmanager
    async def lock_content(self, sha256: str) -> AsyncIterator["_LockedContent"]:
        """A transaction that holds an advisory lock on the content's first 63 bits."""
        async with self._connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", int(sha256[:16], 16) >> 1)
            yield _LockedContent(connection, sha256)

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

    async def mark_deleted(self, image_id: str, at: datetime) -> bool:
        """See MetadataStore."""
        query = "UPDATE images SET deleted_at = $2 WHERE image_id = $1 AND deleted_at IS NULL"
        async with self._connection() as connection:
            return await connection.execute(query, image_id, at) == "UPDATE 1"

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["Connection"]:
        try:
            async with self._pool.acquire(timeout=_WAIT_SECONDS) as connection:
                yield connection
        except asyncpg.DiskFullError as error:
            raise InsufficientStorage("the database has no room for another image") from error
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Unavailable("the metadata database does not answer; try again") from error


class _LockedContent:
    def __init__(self, connection: "Connection", sha256: str) -> None:
        self._connection = connection
        self._sha256 = sha256

    async def add(self, record: ImageRecord) -> None:
        await self._connection.execute(_INSERT, *(getattr(record, column) for column in COLUMNS))

    async def is_used(self) -> bool:
        query = "SELECT EXISTS (SELECT FROM images WHERE sha256 = $1 AND deleted_at IS NULL)"
        return bool(await self._connection.fetchval(query, self._sha256))


def _record(row: asyncpg.Record) -> ImageRecord:
    return ImageRecord.model_validate(dict(row))
