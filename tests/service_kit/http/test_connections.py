"""Deadlines of connections, and their number: clients that stall cost nobody else anything."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web
from prometheus_client import REGISTRY
from yarl import URL

from service_kit.http import middlewares
from service_kit.http._connections import Connection
from service_kit.http.health import health_route, probe_routes
from service_kit.http.metrics import metrics_route
from service_kit.http.server import Runner, listen
from service_kit.http.uploads import read_form
from service_kit.settings import CommonSettings
from service_kit.spool import Spool

LARGE = bytes(32 * 1024**2)
GET = b"GET /v1/images/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"
IMAGE = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
PATIENT = 30.0
"""Seconds after which a test fails. The deadlines that it tests are much shorter."""


class Client:
    """A connection on which a test sends raw bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def response(self) -> tuple[int, bytes]:
        """The status and the body of the next response."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(int(line.split()[1]) for line in head.splitlines() if line.startswith("content-length"))
        return int(head.split()[1]), await self._reader.readexactly(length)

    async def end(self) -> bytes:
        """What comes until the service closes the connection."""
        with suppress(ConnectionError):
            return await self._reader.read()
        return b""

    def hang_up(self) -> None:
        self._writer.transport.abort()


class Serving:
    """An application with a health check, a large response and uploads."""

    def __init__(self, url: str, spool: Spool, runner: Runner) -> None:
        self._url = URL(url)
        self._clients: list[Client] = []
        self._runner = runner
        self.spool = spool

    @property
    def connections(self) -> list[Connection]:
        """The service's own ends."""
        assert self._runner.server
        return cast("list[Connection]", self._runner.server.connections)

    async def connect(self, limit: int = 2**16) -> Client:
        client = Client(*await asyncio.open_connection(self._url.host, self._url.port, limit=limit))
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.hang_up()


@asynccontextmanager
async def serving(spool: Spool, **options: float) -> AsyncIterator[Serving]:
    settings = CommonSettings(**options)  # type: ignore[arg-type]
    spool.prepare()

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=LARGE)

    async def streamed(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(65536))

    async def upload(request: web.Request) -> web.Response:
        async with read_form(request, spool, settings, ("image", "url"), urlencoded=True) as form:
            return web.json_response({"bytes": form.file.bytes if form.file else None})

    app = web.Application()
    middlewares.setup(app)
    app.add_routes(
        [
            health_route("/v1/images/healthcheck", "test"),
            *probe_routes("test"),
            metrics_route(),
            web.get("/large", large),
            web.get("/streamed", streamed),
            web.post("/upload", upload),
        ]
    )
    runner = Runner(app, settings)
    await runner.setup()
    running = Serving(await listen(runner, "127.0.0.1", 0), spool, runner)
    try:
        async with asyncio.timeout(PATIENT):
            yield running
    finally:
        running.close()
        runner.hurry()
        await runner.cleanup()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def _ended(reason: str) -> float:
    return REGISTRY.get_sample_value("imgsvc_connections_ended_total", {"reason": reason}) or 0.0


async def test_half_a_head_gets_408(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(spool, header_seconds=0.2) as service:
        client = await service.connect()
        client.send(b"GET /v1/images/healthcheck HTTP/1.1\r\nHost: x\r\n")
        status, body = await client.response()
        assert (status, json.loads(body)["detail"]) == (408, "the headers did not arrive within 0.2 s")
        assert await client.end() == b""
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_half_a_second_head_gets_408(spool: Spool) -> None:
    async with serving(spool, header_seconds=0.2) as service:
        client = await service.connect()
        client.send(GET)
        assert (await client.response())[0] == 200
        client.send(GET[:20])
        assert (await client.response())[0] == 408
        assert await client.end() == b""


async def test_a_dripping_head_gets_408(spool: Spool) -> None:
    async with serving(spool, header_seconds=0.2) as service:
        client = await service.connect()
        client.send(b"GET /v1/images/healthcheck HTTP/1.1\r\n")

        async def drip() -> None:
            for number in range(10_000):
                client.send(b"X-%d: y\r\n" % number)
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        assert (await client.response())[0] == 408
        dripping.cancel()


async def test_a_connection_without_a_byte_is_closed(spool: Spool) -> None:
    before = _ended("headers")
    async with serving(spool, header_seconds=0.2) as service:
        client = await service.connect()
        assert await client.end() == b""
    assert _ended("headers") == before + 1


async def test_an_idle_connection_is_closed_after_its_own_deadline(spool: Spool) -> None:
    async with serving(spool, header_seconds=0.1, keepalive_seconds=1) as service:
        client = await service.connect()
        for _ in range(2):
            client.send(GET)
            assert (await client.response())[0] == 200
            await asyncio.sleep(0.3)  # longer than header_seconds
        assert await client.end() == b""


@pytest.mark.parametrize("path", ["/large", "/streamed"])
async def test_a_client_that_does_not_read_is_cut_off(spool: Spool, path: str) -> None:
    before = _ended("send")
    async with serving(spool, send_stall_seconds=0.5) as service:
        client = await service.connect(limit=1)
        client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while _ended("send") == before:
            await asyncio.sleep(0.02)


async def test_a_slow_reader_gets_everything(spool: Spool) -> None:
    """At 16 MB/s and with pauses, it needs much longer than the deadline."""
    async with serving(spool, send_stall_seconds=0.5) as service:
        client = await service.connect()
        client.send(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = 0
        while chunk := await client._reader.read(1024**2):
            received += len(chunk)
            await asyncio.sleep(0.06)
        assert received > len(LARGE)


@pytest.mark.parametrize("kind", ["image/jpeg", "multipart/form-data; boundary=b", "application/x-www-form-urlencoded"])
async def test_a_stalled_upload_gets_408(spool: Spool, kind: str) -> None:
    async with serving(spool, upload_stall_seconds=0.2) as service:
        client = await service.connect()
        head = f"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n--b"
        client.send(head.encode())
        status, body = await client.response()
        assert (status, "came to a halt" in json.loads(body)["detail"]) == (408, True)
    assert not list(spool.folder.iterdir())


async def test_a_slow_upload_may_pause(spool: Spool) -> None:
    """Each pause is shorter than the limit; together they are longer, but bytes make up for them."""
    async with serving(spool, upload_stall_seconds=0.5) as service:
        client = await service.connect()
        client.send(IMAGE + b"Content-Length: 40960\r\n\r\n")
        for _ in range(10):
            client.send(bytes(4096))
            await asyncio.sleep(0.1)
        status, body = await client.response()
        assert (status, json.loads(body)) == (200, {"bytes": 40960})


async def test_stalled_uploads_share_a_bounded_memory(spool: Spool) -> None:
    most = 0
    async with serving(spool) as service:
        for _ in range(100):
            client = await service.connect()
            client.send(
                b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 10000000\r\n\r\n"
            )
            client.send(bytes(900_000))
        while sum(file.stat().st_size for file in spool.folder.iterdir()) + spool.pending < 90_000_000:
            most = max(most, spool.pending)
            await asyncio.sleep(0.01)
        assert most < 60_000_000  # 32 MiB, and what each has just received
    assert spool.pending == 0


UPLOAD = IMAGE + b"Content-Length: 1000\r\n\r\n"
LARGE_REQUEST = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"


async def _begin(service: Serving, requests: int) -> list[Client]:
    """Connections with unread responses, which no deadline ends soon."""
    clients = [await service.connect() for _ in range(requests)]
    for client in clients:
        client.send(b"GET /streamed HTTP/1.1\r\nHost: x\r\n\r\n")
    await _until(lambda: _open() >= requests)
    return clients


async def test_beyond_the_limit_only_operators_are_answered(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(spool, max_connections=3) as service:
        await _begin(service, 3)
        for _ in range(5):
            for path in ("/v1/images/healthcheck", "/healthz", "/readyz", "/metrics"):
                client = await service.connect()
                client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                assert (await client.response())[0] == 200
                client.hang_up()
        for request in (LARGE_REQUEST, UPLOAD + b"x"):  # without waiting for the rest of the body
            client = await service.connect()
            client.send(request)
            status, body = await client.response()
            assert (status, "too many connections" in json.loads(body)["detail"]) == (503, True)
            assert await client.end() == b""
        silent = [await service.connect() for _ in range(40)]
        client = await service.connect()
        client.send(GET)
        assert (await client.response())[0] == 200  # although the reserve is full
        await asyncio.gather(*(client.end() for client in silent))  # the reserve has a short deadline
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


async def test_half_heads_lock_nobody_out(spool: Spool) -> None:
    before = _ended("half")
    async with serving(spool, max_connections=3) as service:
        halves = [await service.connect() for _ in range(60)]
        for half in halves:
            half.send(b"GET / HTTP/1.1\r\n")
        new = await service.connect()
        new.send(LARGE_REQUEST)
        assert await new.response() == (200, LARGE)
        assert await halves[0].end() == b"", "the oldest one made room"
    assert _ended("half") > before


async def test_uploads_leave_connections_to_others(spool: Spool) -> None:
    async with serving(spool, max_connections=4) as service:
        uploads = [await service.connect() for _ in range(3)]
        for upload in uploads:
            upload.send(UPLOAD)
        await _until(lambda: len(list(spool.folder.iterdir())) == 3)
        new = await service.connect()
        new.send(UPLOAD + bytes(1000))
        status, body = await new.response()
        assert (status, "too many uploads" in json.loads(body)["detail"]) == (503, True)
        new = await service.connect()
        new.send(LARGE_REQUEST)
        assert await new.response() == (200, LARGE)
        uploads[0].send(bytes(1000))
        assert (await uploads[0].response())[0] == 200
        uploads[0].send(UPLOAD + bytes(1000))
        assert (await uploads[0].response())[0] == 200


async def test_a_connection_that_cannot_be_checked_ends_no_deadlines(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(spool, header_seconds=0.2) as service:
        broken = await service.connect()
        broken.send(GET)
        assert (await broken.response())[0] == 200
        for connection in service.connections:
            connection._head_began = "broken"  # type: ignore[assignment]
        assert await broken.end() == b""
        client = await service.connect()
        client.send(b"GET ")
        assert (await client.response())[0] == 408
    assert "could not be checked" in caplog.text


async def test_an_idle_connection_makes_room(spool: Spool) -> None:
    async with serving(spool, max_connections=3) as service:
        idle = [await service.connect() for _ in range(3)]
        for client in idle:
            client.send(GET)
            assert (await client.response())[0] == 200
        new = await service.connect()
        new.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await new.response() == (200, LARGE)
        assert await idle[0].end() == b""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 8000) for n in range(60)), 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 9000, 431),
        (b"GET /" + b"y" * 200_000, 414),
    ],
)
async def test_a_head_that_is_too_large_gets_431(spool: Spool, head: bytes, status: int) -> None:
    async with serving(spool) as service:
        client = await service.connect()
        client.send(head)
        assert (await client.response())[0] == status


async def test_small_chunks_are_refused_but_larger_ones_are_not(spool: Spool) -> None:
    head = IMAGE + b"Transfer-Encoding: chunked\r\n\r\n"
    async with serving(spool) as service:
        client = await service.connect()
        client.send(head + b"1\r\nx\r\n" * 100_000)
        with suppress(asyncio.IncompleteReadError, ConnectionError):  # closed while it sends
            assert (await client.response())[0] == 400
        assert await client.end() == b""
        client = await service.connect()
        client.send(head + (b"40\r\n" + b"x" * 64 + b"\r\n") * 100_000 + b"0\r\n\r\n")
        assert await client.response() == (200, b'{"bytes": 6400000}')


async def test_a_connection_is_used_again_after_large_uploads(spool: Spool) -> None:
    bodies = [
        b"Content-Length: 1000000\r\n\r\n" + bytes(1_000_000),
        b"Transfer-Encoding: chunked\r\n\r\nf4240\r\n" + bytes(1_000_000) + b"\r\n0\r\n\r\n",
    ]
    async with serving(spool) as service:
        client = await service.connect()
        for body in bodies * 5:
            client.send(IMAGE + body)
            assert await client.response() == (200, b'{"bytes": 1000000}')


async def test_pipelined_requests_are_all_answered(spool: Spool) -> None:
    async with serving(spool) as service:
        client = await service.connect()
        chunked = IMAGE + b"Transfer-Encoding: chunked\r\n\r\n" + b"186a0\r\n" + b"x" * 100_000 + b"\r\n0\r\n\r\n"
        client.send((GET + chunked + IMAGE + b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000) * 30 + GET * 100)
        for _ in range(30):
            assert [(await client.response())[0] for _ in range(3)] == [200, 200, 200]
        for _ in range(100):
            assert (await client.response())[0] == 200


def _open() -> float:
    return REGISTRY.get_sample_value("imgsvc_connections") or 0.0


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)
