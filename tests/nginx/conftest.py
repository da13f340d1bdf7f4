"""The same requests to `imgsvc serve`, to nginx and to Varnish."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from tests import edge, pictures, servers

STALL_SECONDS = 3
"""For which an upload may pause, in every layer."""
LIMIT = 1024**2
"""Of an upload, in bytes."""
LAYERS = ("embedded", "nginx", "varnish")


@dataclass(frozen=True)
class Answer:
    """A response as it came over the wire."""

    status: int
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def problem(self) -> dict[str, object]:
        """The body, which has to be application/problem+json that no cache keeps."""
        assert self.headers["content-type"] == "application/problem+json", self
        assert self.headers["cache-control"] == "no-store", self
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["request_id"] == self.headers["x-request-id"]
        return dict(problem)


class Client:
    """A connection on which a test sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)

    def ask(self, line: str, *headers: str) -> None:
        """Send a request line and headers."""
        self.send("\r\n".join((f"{line} HTTP/1.1", "Host: x", *headers, "", "")).encode())

    async def answer(self, *, head: bool = False) -> Answer:
        """The next response. `head`: it has no body."""
        line, *rest = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (header.partition(":") for header in rest if header)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        status = int(line.split()[1])
        empty = head or status in {100, 204, 304}
        body = b"" if empty else await self._reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(status, headers, body)


@dataclass(frozen=True)
class Layer:
    """A layer of the service, with an image that can be requested from it."""

    name: str
    url: str
    body: bytes
    path: str = ""

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A new connection."""
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            async with asyncio.timeout(30):
                yield Client(reader, writer)
        finally:
            writer.transport.abort()

    async def ask(self, line: str, *headers: str) -> Answer:
        """The response to a request without a body."""
        async with self.client() as client:
            client.ask(line, *headers)
            return await client.answer(head=line.startswith("HEAD"))

    async def post(self, body: bytes, kind: str = "image/jpeg") -> Answer:
        """The response to an upload."""
        async with self.client() as client:
            client.ask("POST /v1/images", f"Content-Type: {kind}", f"Content-Length: {len(body)}")
            client.send(body)
            return await client.answer()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.Edge]:
    limits = {"UPLOAD_STALL_SECONDS": str(STALL_SECONDS), "MAX_UPLOAD_BYTES": str(LIMIT)}
    with edge.started(tmp_path_factory.mktemp("edge"), **limits) as started:
        yield started


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    limits = {"UPLOAD_STALL_SECONDS": str(STALL_SECONDS), "MAX_UPLOAD_BYTES": str(LIMIT)}
    with servers.serve(tmp_path_factory.mktemp("embedded"), **limits) as served:
        yield served.url


@pytest.fixture(params=LAYERS)
async def layer(request: pytest.FixtureRequest) -> Layer:
    """Each layer, with an image of its own that no cache knows yet."""
    name = request.param
    url = request.getfixturevalue("embedded") if name == "embedded" else request.getfixturevalue("stack").url(name)
    body = bytes(pictures.noise(60, 40).jpegsave_buffer())
    answer = await Layer(name, url, b"").post(body)
    assert answer.status == 201, answer
    return Layer(name, url, body, json.loads(answer.body)["url"])
