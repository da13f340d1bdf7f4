"""The log of `imgsvc serve`, with LOG_FORMAT=json and as text."""

import asyncio
import io
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests import pictures, servers
from tests.servers import Served


def lines(served: Served) -> list[dict[str, Any]]:
    """Every line after the banner. The service has to have stopped: it writes a line after the response."""
    text = served.log.read_text().partition("at once.\n")[2]
    return [json.loads(line) for line in text.splitlines() if line != "imgsvc: stopping"]


def send(served: Served, *lines: bytes) -> None:
    """Send the raw lines of a request, and wait for the end of the response."""
    place = urlsplit(served.url)
    with socket.create_connection((place.hostname, place.port), 5) as client:
        client.sendall(b"\r\n".join((*lines, b"Host: x", b"Connection: close", b"", b"")))
        while client.recv(65536):
            pass


async def test_each_request_is_one_line_with_its_spans(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with servers.serve(tmp_path, LOG_FORMAT="json") as served:
        body = bytes(pictures.noise(1500, 1000).jpegsave_buffer())
        async with http.post(f"{served.url}/v1/images", data=body, headers={"Content-Type": "image/jpeg"}) as response:
            image_id = (await response.json())["image_id"]
        headers = {"X-Request-ID": "of-the-client"}
        for query in ("thumb=300", "thumb=300", "rotate=90&thumb=400&blur=2"):
            async with http.get(f"{served.url}/v1/images/{image_id}.webp?{query}", headers=headers) as response:
                await response.read()
        for path in ("/v1/images/healthcheck", "/healthz", "/readyz"):
            await (await http.get(f"{served.url}{path}")).read()
    found = [line for line in lines(served) if line["logger"] == "access"]
    assert [line["status"] for line in found] == [201, 200, 200, 200]
    assert [line["request_id"] for line in found[1:]] == ["of-the-client"] * 3
    assert [line["cache"] for line in found[1:]] == ["imgsvc; fwd=miss", "imgsvc; hit", "imgsvc; fwd=miss"]
    for line in found[1:]:
        spans = {name: float(value) / 1000 for name, value in re.findall(r"(\w+);dur=([\d.]+)", line["timing"])}
        assert abs(sum(spans.values()) - line["seconds"]) <= 0.05 * line["seconds"] + 0.0005, line
    assert set(re.findall(r"(\w+);", found[3]["timing"])) == {
        "source", "plan", "cache", "queue", "render", "encode", "send",
    }  # fmt: skip


@pytest.fixture
async def silent() -> AsyncIterator[tuple[str, asyncio.Event, dict[str, str]]]:
    """A remote image that never arrives: its URL, an event for the first request, and settings that allow it."""
    requested = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        requested.set()
        await asyncio.Event().wait()
        raise AssertionError

    app = web.Application()
    app.router.add_get("/x.png", never)
    server = TestServer(app, handler_cancellation=True)
    async with server:
        settings = {"REMOTE_PORTS": f"[{server.port}]", "REMOTE_ALLOWED_NETWORKS": '["127.0.0.0/8"]'}
        yield str(server.make_url("/x.png")), requested, {"LOG_FORMAT": "json", **settings}


async def test_uploads_and_failures_have_spans(
    tmp_path: Path, http: aiohttp.ClientSession, silent: tuple[str, asyncio.Event, dict[str, str]]
) -> None:
    url, _, settings = silent
    with servers.serve(tmp_path, REMOTE_SECONDS="1", **settings) as served:
        body = bytes(pictures.noise(200, 100).jpegsave_buffer())
        async with http.post(f"{served.url}/v1/images", data=body, headers={"Content-Type": "image/*"}) as response:
            uploaded = response.headers["Server-Timing"]
        async with http.get(f"{served.url}/v1/transform", params={"url": url}) as response:
            assert response.status == 504
            failed = response.headers["Server-Timing"]
    assert re.findall(r"(\w+);", uploaded) == ["receive", "check", "record", "blob"]
    assert re.fullmatch(r"source;dur=\d+\.\d", failed)


async def test_a_client_that_gives_up_is_logged_with_status_499(
    tmp_path: Path, silent: tuple[str, asyncio.Event, dict[str, str]]
) -> None:
    url, requested, settings = silent
    with servers.serve(tmp_path, REMOTE_SECONDS="60", **settings) as served:
        place = urlsplit(served.url)
        _, client = await asyncio.open_connection(place.hostname, place.port)
        client.write(f"GET /v1/transform?url={quote(url)} HTTP/1.1\r\nHost: x\r\nX-Request-ID: gone\r\n\r\n".encode())
        await asyncio.wait_for(requested.wait(), 20)
        client.close()
        await client.wait_closed()
    [line] = [line for line in lines(served) if line["logger"] == "access"]
    assert (line["status"], line["request_id"], line["route"]) == (499, "gone", "/v1/transform")


async def test_a_client_that_hangs_up_after_the_whole_response_is_logged_with_200(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    with servers.serve(tmp_path, LOG_FORMAT="json") as served:
        place = urlsplit(served.url)
        body = bytes(pictures.noise(1500, 1000).pngsave_buffer(compression=0))
        form = aiohttp.FormData({"image": io.BytesIO(body)})
        async with http.post(f"{served.url}/v1/images", data=form) as response:
            image_id = (await response.json())["image_id"]
        for _ in range(10):
            with socket.create_connection((place.hostname, place.port), 5) as client:
                client.sendall(f"GET /v1/images/{image_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                left = len(body)
                while left > 0:
                    left -= len(client.recv(1 << 20))
    found = [line for line in lines(served) if line["logger"] == "access"]
    assert [line["status"] for line in found[1:]] == [200] * 10
    assert all(line["bytes_out"] > len(body) for line in found[1:])


def test_hostile_requests_do_not_break_log_lines(tmp_path: Path) -> None:
    """Each request is one object on one line, with a new request ID."""
    with servers.serve(tmp_path, LOG_FORMAT="json") as served:
        send(served, b'GET /v1/images/"}\\x HTTP/1.1', b'X-Request-ID: "}, {"level": "CRITICAL')
        send(served, b"GET /v1/images/\xff\xfe\xc3\x28?\xe2\x80\xa8 HTTP/1.1", b"X-Request-ID: \xff")
        send(served, b"GET /" + b"a" * 7000 + b" HTTP/1.1", b"X-Request-ID: " + b"i" * 65)
        send(served, b"GET /v1/images/a\tb HTTP/1.1")
    found = lines(served)
    logged = [line for line in found if line["logger"] == "access"]
    assert len(logged) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", line["request_id"]) for line in logged)
    assert all(400 <= line["status"] < 500 for line in logged)
    assert all(len(line["uri"]) <= 500 for line in logged)


async def test_the_default_log_is_text(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with servers.serve(tmp_path) as served:
        await (await http.get(f"{served.url}/v1/images/x?a=%22")).read()
    line = r"INFO access: GET '/v1/images/x\?a=%22' 400 in \d+\.\d ms \([0-9a-f]{32}\)\n"
    assert re.search(line, served.log.read_text())
