"""A TCP forwarder whose target can be switched: what DNS rebinding does to a host name."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_BLOCK = 64 * 1024


class Forwarder:
    """Listens on a port of 127.0.0.1, and forwards each connection to the host and port of the URL `target`.

    The target sees a client with the address `source`.
    """

    def __init__(self, target: str, source: str = "127.0.0.1") -> None:
        self._target = target
        self._source = source
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self._end_connections()

    async def switch(self, target: str) -> None:
        """Lead to another URL from now on. Open connections end, as a browser would use them again."""
        self._target = target
        await self._end_connections()

    async def _end_connections(self) -> None:
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        parts = urlsplit(self._target)
        with suppress(ConnectionError, asyncio.CancelledError):
            there, out = await asyncio.open_connection(parts.hostname, parts.port, local_addr=(self._source, 0))
            try:
                async with asyncio.TaskGroup() as directions:
                    directions.create_task(_copy(reader, out))
                    directions.create_task(_copy(there, writer))
            except* ConnectionError:
                pass
            finally:
                out.transport.abort()
        writer.transport.abort()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Forward one direction up to its end."""
    while block := await source.read(_BLOCK):
        target.write(block)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
