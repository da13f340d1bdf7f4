"""Mistakes that clients make before there is a request: they get the usual errors, without a traceback in the log."""

import asyncio
import json
import logging
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from yarl import URL

from service_kit.http.server import Runner, listen
from storage_service.app import create_app
from storage_service.settings import StorageSettings
from tests import pictures
from tests.storage_service.conftest import Storage


async def _send(storage: Storage, data: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, headers and JSON of the response to raw bytes."""
    url = URL(storage.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(data)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    return int(head[0].split()[1]), headers, json.loads(body)


@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        (b"GET /\x00\xff HTTP/9.9\r\n\xff\r\n\r\n", 400, "not valid HTTP"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400, "not valid HTTP"),
        (b"GET /v1/images HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\n\r\n", 417, "a miracle"),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\n\r\n", 417, "a miracle"),
    ],
)
async def test_errors_before_any_handler_look_like_all_others(
    storage: Storage, caplog: pytest.LogCaptureFixture, data: bytes, status: int, text: str
) -> None:
    answered, headers, problem = await _send(storage, data)
    assert (answered, problem["status"], headers["content-type"]) == (status, status, "application/problem+json")
    assert text in str(problem["detail"])
    assert headers["api-version"] == "1"
    assert headers["x-request-id"] == problem["request_id"]
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_a_cancelled_upload_is_not_logged_as_an_error(
    storage: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    url, incoming = URL(storage.url), tmp_path / "blobs/incoming"
    head = b"POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n"
    _, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(head + pictures.jpeg())
    async with asyncio.timeout(10):
        while not any(incoming.iterdir()):
            await asyncio.sleep(0.005)
        writer.transport.abort()
        while any(incoming.iterdir()):
            await asyncio.sleep(0.005)
    logged = [(record.levelno, record.exc_info) for record in caplog.records if record.name == "aiohttp.server"]
    assert logged in ([], [(logging.INFO, None)])


async def test_a_burst_of_connections_does_not_wait_for_the_process(tmp_path: Path) -> None:
    """The kernel accepts them while the process is busy; here, this test keeps it busy."""
    runner = Runner(create_app(StorageSettings(data_dir=tmp_path)))
    await runner.setup()
    url = URL(await listen(runner, "127.0.0.1", 0))
    with ExitStack() as connections:
        for _ in range(500):
            connections.enter_context(socket.create_connection((url.host, url.port), timeout=0.5))
    await runner.cleanup()
