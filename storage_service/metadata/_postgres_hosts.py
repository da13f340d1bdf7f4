"""Finds the PostgreSQL server that takes writes, among those that DATABASE_URL names."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from service_kit.urls import for_each_host

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a connection or a query can raise."""

_HEAD_START = 0.3
"""Seconds after which the next host is tried as well: a machine that is gone answers nothing."""
_STATE = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"


class NoPrimary(Exception):
    """The servers that answer are standbys."""


@dataclass(frozen=True, slots=True)
class _Server:
    place: int
    connection: "Connection"
    standby: bool
    reads_only: bool


class Hosts:
    """Connects to the server that takes writes, first to where it was last. `connect` is for asyncpg's pool.

    If none takes writes, connects to a primary that only reads, as some become when their disk is nearly full. Never
    connects to a standby: it is behind its primary, so it may still have images that were deleted. With
    `target_session_attrs` in the URL, connects to the first server that is what it says.
    """

    def __init__(self, url: str) -> None:
        self._urls = for_each_host(url)
        self.several = len(self._urls) > 1
        """Whether another server may take over."""
        self._any = "target_session_attrs" in parse_qs(urlsplit(self._urls[0]).query)
        self._last = 0

    async def connect(self, _url: str, **options: Any) -> "Connection":
        """A new connection. Raises one of FAILURES, or NoPrimary."""
        waiting = [*range(self._last, len(self._urls)), *range(self._last)]
        pending: set[asyncio.Task[_Server]] = set()
        found: list[_Server] = []
        errors: list[BaseException] = []
        chosen: Connection | None = None
        try:
            while waiting or pending:
                if waiting:
                    pending.add(asyncio.create_task(self._ask(waiting.pop(0), options)))
                patience = _HEAD_START if waiting else None
                done, pending = await asyncio.wait(pending, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                found += [task.result() for task in done if not task.exception()]
                errors += filter(None, (task.exception() for task in done))
                if best := next((server for server in found if not server.reads_only), None):
                    break
            else:
                best = next((server for server in found if not server.standby), None)
            if best is None:
                raise _worst(errors, any_standby=bool(found))
            self._last, chosen = best.place, best.connection
            return chosen
        finally:
            for task in pending:
                task.cancel()
                if task.done() and not task.cancelled() and not task.exception():
                    found.append(task.result())
            for server in found:
                if server.connection is not chosen:
                    server.connection.terminate()

    async def _ask(self, place: int, options: dict[str, Any]) -> _Server:
        connection = await asyncpg.connect(self._urls[place], **options)
        if self._any:
            return _Server(place, connection, standby=False, reads_only=False)
        try:
            standby, reads_only = await connection.fetchrow(_STATE)
        except BaseException:
            connection.terminate()
            raise
        return _Server(place, connection, standby, reads_only)


def _worst(errors: list[BaseException], *, any_standby: bool) -> BaseException:
    """The error that says most: what a server says comes before what the network does."""
    said = [error for error in errors if isinstance(error, asyncpg.PostgresError)]
    if any_standby and not said:
        return NoPrimary("no server takes writes")
    return (said or errors)[0]
