"""The logs: one line of JSON per request, with the same request ID in every service on its way."""

import asyncio
import json
import socket
import string
import time
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests import pictures
from tests.compose.observed.conftest import Observed
from tests.compose.stack import Stack

_PARTS = ("varnish", "nginx", "transform", "storage")
_ID = "of-the-client"
_SANE = set(string.ascii_letters + string.digits + "._-")


@pytest.fixture
def running(observed: Observed) -> Stack:
    return observed.stack


def lines(running: Stack, part: str) -> list[dict[str, Any]]:
    """The requests that a service has logged."""
    logged = [json.loads(line) for line in running.log(part).splitlines() if line.startswith("{")]
    return [line for line in logged if "status" in line]


async def within(seconds: float, running: Stack, part: str, request_id: str, number: int) -> list[dict[str, Any]]:
    """The lines with this request ID, once there are enough: varnishncsa is a moment behind."""
    deadline = time.monotonic() + seconds
    while True:
        found = [each for each in await asyncio.to_thread(lines, running, part) if each["request_id"] == request_id]
        if len(found) >= number or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.2)


async def test_the_clients_request_id_is_in_the_log_of_every_service(
    running: Stack, http: aiohttp.ClientSession
) -> None:
    body = bytes(pictures.noise(300, 200).jpegsave_buffer())
    async with http.post(f"{running.url}/v1/images", data=body, headers={"Content-Type": "image/jpeg"}) as answer:
        image_id = (await answer.json())["image_id"]
    url, headers = f"{running.url}/v1/images/{image_id}.webp?thumb=100", {"X-Request-ID": _ID}
    for _ in range(2):
        async with http.get(url, headers=headers) as answer:
            assert answer.headers["X-Request-ID"] == _ID
            await answer.read()
    found = {part: await within(10, running, part, _ID, 2 if part == "varnish" else 1) for part in _PARTS}
    assert [line["cache"] for line in found["varnish"]] == ["MISS", "HIT"]
    assert {part: len(each) for part, each in found.items()} == {"varnish": 2, "nginx": 1, "transform": 1, "storage": 1}
    assert found["storage"][0]["uri"].startswith("/internal/images/")
    assert found["nginx"][0]["timing"].startswith("source;dur=")
    seconds = [found[part][0]["seconds"] for part in ("varnish", "nginx", "transform")]
    assert (
        seconds[0] > 0.3 * seconds[2] > 0
    )  # on busy cores, transform reads its clock long after Varnish has the response


async def test_bytes_from_hostile_clients_do_not_break_log_lines(running: Stack) -> None:
    place = urlsplit(running.url)
    requests = [
        b'GET /v1/images/\xff"\\x?a="b HTTP/1.1\r\nUser-Agent: a"b\\c\x80\r\nX-Request-ID: hostile-0',
        b'GET /v1/images/a?"} HTTP/1.1\r\nUser-Agent: \xe2\x80\xa8\t"}\r\nX-Request-ID: hostile-1',
        b'GET /v1/images/%0a HTTP/1.1\r\nX-Forwarded-For: "}, {"\r\nX-Request-ID: hostile-2',
        b'GET /v1/images/a HTTP/1.1\r\nX-Request-ID: "}, {"status": 200',
    ]
    for request in requests:
        with socket.create_connection((place.hostname, place.port), 5) as client:
            client.sendall(request + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
            while client.recv(65536):
                pass
    for number in range(3):
        (line,) = await within(10, running, "varnish", f"hostile-{number}", 1)
        assert line["status"] == (404 if number == 2 else 400)
    # Every line is JSON, or `lines` would have failed.
    for part in _PARTS:
        assert all(set(line["request_id"]) <= _SANE for line in lines(running, part))
