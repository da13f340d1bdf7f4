"""A proxy between a service and an object store, which delays, breaks off, refuses and lies."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.servers import free_port

_FOR_EVER = 3600


@dataclass(slots=True)
class Message:
    """A request, or an answer to it."""

    head: bytes
    body: bytes

    def with_length(self, length: int) -> bytes:
        """The head with another Content-Length."""
        return re.sub(rb"(?i)(\r\ncontent-length: )\d+", rb"\g<1>%d" % length, self.head)


@dataclass(slots=True)
class Link:
    """The connection of one request, for a fault to answer on."""

    request: Message
    writer: asyncio.StreamWriter
    ask: Callable[[], "asyncio.Future[Message]"]
    """Ask the real store."""

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    def reset(self) -> None:
        """Close the connection with a RST."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def honest(link: Link) -> None:
    answer = await link.ask()
    await link.send(answer.head, answer.body)


async def slow(link: Link) -> None:
    answer = await link.ask()
    await asyncio.sleep(_FOR_EVER)
    await link.send(answer.head, answer.body)


async def silent(_: Link) -> None:
    await asyncio.sleep(_FOR_EVER)


async def trickling(link: Link) -> None:
    answer = await link.ask()
    await link.send(answer.head)
    for byte in answer.body:
        await link.send(bytes([byte]))
        await asyncio.sleep(0.2)


async def resetting(link: Link) -> None:
    link.reset()


async def breaking_off(link: Link) -> None:
    answer = await link.ask()
    await link.send(answer.head, answer.body[: len(answer.body) // 2])
    link.reset()


async def truncating(link: Link) -> None:
    """The end of the connection, instead of the second half."""
    answer = await link.ask()
    await link.send(answer.head, answer.body[: len(answer.body) // 2])


async def shortening(link: Link) -> None:
    """A lie that is consistent: half of the bytes, and their number."""
    answer = await link.ask()
    half = answer.body[: len(answer.body) // 2]
    await link.send(answer.with_length(len(half)), half)


async def lengthening(link: Link) -> None:
    answer = await link.ask()
    await link.send(answer.with_length(len(answer.body) + 9), answer.body, b"something")


async def corrupting(link: Link) -> None:
    answer = await link.ask()
    place = len(answer.body) * 3 // 4
    await link.send(answer.head, answer.body[:place], bytes([answer.body[place] ^ 1]) if answer.body else b"")
    await link.send(answer.body[place + 1 :])


async def forgetful(link: Link) -> None:
    """Confirms what it does not store."""
    if link.request.head.startswith(b"PUT"):
        await link.send(b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
    else:
        await honest(link)


async def half_storing(link: Link) -> None:
    """Stores the first half of what it confirms."""
    if link.request.head.startswith(b"PUT"):
        link.request.head = link.request.with_length(len(link.request.body) // 2)
        link.request.body = link.request.body[: len(link.request.body) // 2]
    await honest(link)


async def babbling(link: Link) -> None:
    await link.send(b"\x16\x03\x01 this is no HTTP\r\n\r\n")


def answering(status: int) -> Callable[[Link], "asyncio.Future[None]"]:
    async def fault(link: Link) -> None:
        await link.send(f"HTTP/1.1 {status} Fault\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfault".encode())

    fault.__name__ = f"answering_{status}"
    return fault  # type: ignore[return-value]


SLOW = (slow, silent, trickling)
FAILING = (resetting, breaking_off, truncating, babbling, *map(answering, (500, 503, 404, 403)))
LYING = (shortening, lengthening, corrupting)
LYING_ABOUT_STORING = (forgetful, half_storing)


@dataclass
class Proxy:
    """A proxy on `port`. `fault` is how it treats requests from now on."""

    upstream: int
    port: int = field(default_factory=free_port)
    fault: Callable[[Link], object] = honest
    requests: list[str] = field(default_factory=list)
    """The first line of each request."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            tasks.add(task)
            try:
                with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    await self._serve(reader, writer)
            finally:
                writer.transport.abort() if task.cancelling() else writer.close()
                tasks.discard(task)

        server = await asyncio.start_server(serve, "127.0.0.1", self.port, limit=1024**2)
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head.partition(b"\r\n")[0].decode())
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        request = Message(head, await reader.readexactly(int(length[1])) if length else b"")

        def ask() -> "asyncio.Future[Message]":
            return asyncio.ensure_future(self._ask(request))

        await self.fault(Link(request, writer, ask))  # type: ignore[misc]
        with suppress(OSError):
            await writer.drain()

    async def _ask(self, request: Message) -> Message:
        """The real store's answer, over a connection of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream, limit=1024**2)
        try:
            once = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", request.head)[:-2] + b"Connection: close\r\n\r\n"
            writer.write(once + request.body)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            body = b"" if request.head.startswith(b"HEAD") else await reader.read()
            head = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n"
            return Message(head, body)
        finally:
            writer.close()
