"""The same tests against `imgsvc serve` and against the containers."""

import io
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import aiohttp
import pytest

from tests import remote, servers
from tests.compose import stack
from tests.remote import RemoteServer


@dataclass(frozen=True)
class Service:
    """A running service, and a session to talk to it."""

    url: str
    http: aiohttp.ClientSession
    kind: str
    remote: str
    """The base URL under which the service sees the test's own web server."""

    async def upload(self, body: bytes, name: str = "photo") -> str:
        """Upload a file, and return its ID."""
        form = aiohttp.FormData()
        form.add_field("image", io.BytesIO(body), filename=name)
        async with self.http.post(f"{self.url}/v1/images", data=form) as response:
            assert response.status == 201, await response.text()
            return str((await response.json())["image_id"])

    async def get(self, path: str, **options: object) -> tuple[int, bytes, aiohttp.ClientResponse]:
        """The status, body and response of a GET."""
        async with self.http.get(f"{self.url}{path}", **options) as response:  # type: ignore[arg-type]
            return response.status, await response.read(), response


@pytest.fixture(scope="session")
async def remote_server() -> AsyncIterator[RemoteServer]:
    async with RemoteServer() as server:
        yield server


_KINDS = ["embedded", "compose", "rclone"]
if os.environ.get("LONG"):
    _KINDS.append("moto")


@pytest.fixture(scope="session", params=_KINDS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(kind, base URL). `moto` and `rclone` are S3 servers, which hold the blobs of an embedded service."""
    if request.param == "compose":
        with stack.up() as started:
            yield "compose", started.url
        return
    folder, blobs = tmp_path_factory.mktemp(request.param), {}
    with ExitStack() as stores:
        if request.param != "embedded":
            blobs = stores.enter_context(servers.s3(folder, request.param)) | {"BLOB_URL": "s3://bucket/images"}
        served = stores.enter_context(servers.serve(folder, RENDER_SECONDS="60", **remote.SETTINGS, **blobs))
        yield "embedded", served.url


@pytest.fixture(scope="session")
async def service(running: tuple[str, str], http: aiohttp.ClientSession, remote_server: RemoteServer) -> Service:  # noqa: ARG001
    kind, url = running
    host = "test-host" if kind == "compose" else remote.LOOPBACK
    return Service(url, http, kind, f"http://{host}:{remote.PORT}")
