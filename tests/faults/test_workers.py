"""Worker processes that are stopped, and crowds at one cold URL."""

import asyncio
import io
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests import pictures, servers

_SECONDS = 2
PHOTO = bytes(pictures.noise(60, 40).jpegsave_buffer())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[servers.Served]:
    limits = {"RENDER_SECONDS": str(_SECONDS), "VALIDATION_SECONDS": str(_SECONDS), "RENDERERS": "2"}
    with servers.serve(tmp_path, **limits) as started:
        yield started


async def upload(http: aiohttp.ClientSession, url: str, body: bytes) -> tuple[int, str]:
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(body), filename="x")
    async with http.post(f"{url}/v1/images", data=form) as answer:
        return answer.status, (await answer.json(content_type=None)).get("image_id", "")


async def status(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        await answer.read()
        return answer.status


async def test_stopped_workers_delay_their_own_requests_only(
    http: aiohttp.ClientSession, served: servers.Served
) -> None:
    """SIGSTOP is the worst hang: the process neither works nor ends."""
    _, image_id = await upload(http, served.url, PHOTO)
    image = f"{served.url}/v1/images/{image_id}"
    assert await status(http, f"{image}.png?thumb=20") == 200
    stopped = served.renderers()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    doomed = [asyncio.create_task(status(http, f"{image}.png?thumb={30 + n}")) for n in range(3)]
    doomed.append(asyncio.create_task(_only_status(upload(http, served.url, PHOTO + b"1"))))
    assert await status(http, f"{image}.png?thumb=20") == 200, "cached results need no renderer"
    assert await status(http, image) == 200
    assert await status(http, f"{served.url}/v1/images/healthcheck") == 200
    answers = await asyncio.gather(*doomed)
    assert set(answers) <= {200, 201, 503}
    assert 503 in answers
    assert time.monotonic() - started < _SECONDS + 5
    async with asyncio.timeout(20):
        while await status(http, f"{image}.webp?thumb={int(time.monotonic() * 1000) % 99 + 1}") != 200:
            pass
        while (await upload(http, served.url, PHOTO + b"2"))[0] != 201:
            pass
    assert set(served.renderers()) - set(stopped), "others took their place"


async def _only_status(answer: "asyncio.Future[tuple[int, str]] | object") -> int:
    return (await answer)[0]  # type: ignore[misc, no-any-return]


async def test_a_thousand_clients_of_one_cold_url_cost_one_render(
    http: aiohttp.ClientSession, tmp_path: Path, photo_bytes: bytes
) -> None:
    """Without caches in front: the service itself."""
    with servers.serve(tmp_path, RENDER_SECONDS="60", PURGE_URLS="[]") as served:
        _, image_id = await upload(http, served.url, photo_bytes)
        url = f"{served.url}/v1/images/{image_id}.webp?blur=3&thumb=900"

        async def ask() -> tuple[int, bytes, str]:
            async with http.get(url) as answer:
                body = await answer.read()
                return answer.status, body, answer.headers["Server-Timing"]

        answers = await asyncio.gather(*(ask() for _ in range(1000)))
    assert Counter(code for code, _, _ in answers) == {200: 1000}
    assert len({body for _, body, _ in answers}) == 1
    rendered = [timing for _, _, timing in answers if re.search(r"\brender;", timing)]
    assert len(rendered) == 1, rendered[:3]
