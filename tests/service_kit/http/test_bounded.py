"""What a server may send besides the bytes of a body, and that nothing else is refused."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from service_kit.http.bounded import Flooded, bounded

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BODY = random.Random(1).randbytes(5_000_000)


def _chunks(size: int, extension: bytes = b"") -> bytes:
    parts = (BODY[start : start + size] for start in range(0, len(BODY), size))
    return b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts) + b"0\r\n\r\n"


@asynccontextmanager
async def _answering(answer: Callable[[], bytes]) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """A server that keeps its connections, and a session for it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer())
            await writer.drain()

    async def until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.transport.abort()

    server = await asyncio.start_server(until_closed, "127.0.0.1", 0)
    async with aiohttp.ClientSession(connector=bounded(aiohttp.TCPConnector(limit=1))) as session:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", session
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
        CHUNKED + _chunks(64),
        CHUNKED + _chunks(1000, b";name=value"),
        CHUNKED + _chunks(1_000_000),
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 8 + CHUNKED + _chunks(70_000),
        OK
        + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 400) for n in range(100))
        + b"Content-Length: 5000000\r\n\r\n"
        + BODY,
    ],
)
async def test_a_good_response_arrives_whole_however_slowly_it_is_read(answer: bytes) -> None:
    async with _answering(lambda: answer) as (url, session):
        for pause in (False, True, False):
            async with session.get(url) as response:
                received = bytearray()
                async for chunk in response.content.iter_any():
                    received += chunk
                    if pause and random.random() < 0.2:
                        await asyncio.sleep(0.002)
                assert bytes(received) == BODY


async def test_each_response_of_a_connection_has_limits_of_its_own() -> None:
    head = OK + b"X: " + b"y" * 8000 + b"\r\nContent-Length: 2\r\n\r\nok"
    connections = 0
    async with _answering(lambda: head) as (url, session):
        for _ in range(100):
            async with session.get(url) as response:
                assert await response.read() == b"ok"
                connections += response.connection is not None
    assert not connections  # each was given back with its response


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 9 + CHUNKED + _chunks(70_000),
        OK + b"X: " + b"y" * 8000 + b"\r\n" + b"Y: y\r\n" * 20_000,
        b"\r\n" * 100_000,
        CHUNKED + b"1\r\nx\r\n" * 100_000,
        CHUNKED + _chunks(30),
        CHUNKED + b"1;" + b"x" * 1_000_000,
    ],
)
async def test_a_flood_ends_the_connection(answer: bytes) -> None:
    async with _answering(lambda: answer) as (url, session), asyncio.timeout(20):
        with pytest.raises((Flooded, aiohttp.ClientResponseError)):  # aiohttp itself bounds header lines
            async with session.get(url) as response:
                await response.read()
