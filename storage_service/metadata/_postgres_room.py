"""Room on the disk of PostgreSQL, so that images can be deleted when the disk is full."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import asyncpg

from service_kit.errors import InsufficientStorage, ServiceError

if TYPE_CHECKING:
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

IS_RESERVED = "pg_relation_size(to_regclass('disk_reserve')) > 0"
"""The condition of a statement that may not use the last room."""

_GIVE_UP = "DROP TABLE IF EXISTS disk_reserve"
_RESERVE = "CREATE UNLOGGED TABLE disk_reserve AS SELECT repeat('x', 1900) AS filler FROM generate_series(1, 4096)"
_LOCK = 0x1A6E5ED
_SECONDS = 10.0
"""Between two attempts, each of which fills the disk for a moment if there is not enough room."""
_WRITE_SECONDS = 8.0  # at the start of a service; uploads wait for less

logger = logging.getLogger(__name__)


class Room:
    """A table of 8 MiB, to be given up when the disk is full.

    It is unlogged: the server empties it when it starts after a crash, such as one for want of room for its log.
    """

    def __init__(self, connection: "Callable[[], AbstractAsyncContextManager[Connection]]") -> None:
        self._connection = connection
        self._next = 0.0
        self._refusing = True
        self.possible = True
        """False: the user of the database may not create the table."""

    async def give_up(self) -> None:
        """Free the room, for all processes."""
        logger.warning("the disk of the metadata database is full; using the room that is reserved for deletions")
        async with self._connection() as connection:
            await connection.execute(_GIVE_UP)

    async def reserve(self, connection: "Callable[[], AbstractAsyncContextManager[Connection]] | None" = None) -> None:
        """Take up the room, unless it is. Raises InsufficientStorage if there is not enough, or another one tries.

        A server that is too slow for it is asked again after a while. Until then nothing is reserved.
        """
        now = asyncio.get_running_loop().time()
        if now < self._next:
            if self._refusing:
                raise InsufficientStorage("the disk of the database is full; what is left is for deletions")
            return
        self._next, self._refusing = now + _SECONDS, True
        try:
            async with (connection or self._connection)() as borrowed, borrowed.transaction():
                if not await borrowed.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
                    return
                if not await borrowed.fetchval(f"SELECT {IS_RESERVED}"):
                    await borrowed.execute(_GIVE_UP)
                    await borrowed.execute(_RESERVE, timeout=_WRITE_SECONDS)
        except InsufficientStorage:
            raise
        except ServiceError as error:
            self._refusing = False
            self.possible = not isinstance(error.__cause__, asyncpg.InsufficientPrivilegeError)
            logger.warning("no room is reserved for deletions: %s (%r)", error, error.__cause__)
        else:
            self._next = now
