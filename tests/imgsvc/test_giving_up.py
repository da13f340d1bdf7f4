"""Abandoned renders, images that crash their decoder, and small renders next to heavy ones, over HTTP."""

import asyncio
import os
import signal
from collections.abc import Iterator

import aiohttp
import pytest

from tests import pictures, servers
from tests.imgsvc.test_serve import _busiest, _status, _until, _upload

HEAVY = "gif?blur=3"
"""Takes some seconds for an image of noise."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Served]:
    folder = tmp_path_factory.mktemp("giving_up")
    with servers.serve(
        folder, RENDER_SECONDS="120", RENDER_QUEUE_SECONDS="100", RENDERERS="1", LEVEL_BYTES="0"
    ) as started:
        yield started


@pytest.fixture(scope="module")
async def noise(http: aiohttp.ClientSession, served: servers.Served) -> str:
    return await _upload(http, served.url, bytes(pictures.noise(3500, 3000).jpegsave_buffer(Q=90)))


async def _hang_up(request: "asyncio.Task[object]") -> None:
    """Cancel a request, as a client does that hangs up."""
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_an_abandoned_render_is_killed(http: aiohttp.ClientSession, served: servers.Served, noise: str) -> None:
    before = served.renderers()
    request = asyncio.create_task(_status(http, f"{served.url}/v1/images/{noise}.{HEAVY}"))
    worker = await asyncio.wait_for(_busiest(before), 30)
    await _hang_up(request)
    await _until(lambda: worker not in served.renderers())
    await _until(lambda: len(served.renderers()) == len(before))


async def test_a_render_continues_while_another_client_waits(
    http: aiohttp.ClientSession, served: servers.Served, noise: str
) -> None:
    before = served.renderers()
    url = f"{served.url}/v1/images/{noise}.{HEAVY}&thumb=1500"
    first = asyncio.create_task(_status(http, url))
    worker = await asyncio.wait_for(_busiest(before), 30)
    second = asyncio.create_task(_status(http, url))
    for _ in range(5):  # one by one: meanwhile the second request arrives
        async with http.get(f"{served.url}/v1/images/{noise}/info") as response:
            assert response.status == 200
    await _hang_up(first)
    assert await second == (200, "image/gif")
    assert worker in served.renderers()


async def test_abandoned_renders_leave_the_queue(
    http: aiohttp.ClientSession, served: servers.Served, noise: str
) -> None:
    url = f"{served.url}/v1/images/{noise}.{HEAVY}"
    running = asyncio.create_task(_status(http, f"{url}&thumb=2000"))
    worker = await asyncio.wait_for(_busiest(served.renderers()), 30)
    waiting = [asyncio.create_task(_status(http, f"{url}&thumb={n}")) for n in range(2001, 2031)]
    async with http.get(f"{served.url}/v1/images/{noise}/info") as response:
        assert response.status == 200
    for request in waiting:
        await _hang_up(request)
    await _hang_up(running)
    await _until(lambda: worker not in served.renderers())
    # Thirty renders of a second each would still be in the queue.
    assert await asyncio.wait_for(_status(http, f"{served.url}/v1/images/{noise}.jpg?blur=3&thumb=1999"), 15)


async def test_small_renders_do_not_wait_for_heavy_ones(
    http: aiohttp.ClientSession, served: servers.Served, noise: str
) -> None:
    small = await _upload(http, served.url, pictures.jpeg(300, 200))
    url = f"{served.url}/v1/images/{noise}.{HEAVY}"
    heavy = [asyncio.create_task(_status(http, f"{url}&thumb={n}")) for n in range(2100, 2104)]
    await asyncio.wait_for(_busiest(served.renderers()), 30)
    for side in range(20, 40):
        assert await _status(http, f"{served.url}/v1/images/{small}.png?thumb={side}") == (200, "image/png")
    assert not any(request.done() for request in heavy)
    for request in heavy:
        await _hang_up(request)


async def test_a_render_that_crashed_twice_is_quarantined(http: aiohttp.ClientSession, served: servers.Served) -> None:
    await _until(lambda: len(served.renderers()) == 4)
    picture = pictures.noise(3500, 3001)
    image_id = await _upload(http, served.url, bytes(picture.jpegsave_buffer(Q=90)))
    url = f"{served.url}/v1/images/{image_id}.{HEAVY}&thumb=3000"
    crashes = 0
    for _ in range(6):  # the busiest renderer may still be busy with an abandoned render
        request = asyncio.create_task(_status(http, url))
        os.kill(await asyncio.wait_for(_busiest(served.renderers()), 30), signal.SIGSEGV)
        result = await request
        assert result in {(503, "application/problem+json"), (200, "image/gif")}
        await _until(lambda: len(served.renderers()) == 4)
        crashes += result[0] == 503
        if crashes == 2:
            break
    async with http.get(url) as response:
        assert response.status == 422
        assert "crashed its process" in await response.text()
    assert await _status(http, f"{served.url}/v1/images/{image_id}.png?thumb=9") == (200, "image/png")
    other = await _upload(http, served.url, pictures.jpeg())
    assert await _status(http, f"{served.url}/v1/images/{other}.png?thumb=9") == (200, "image/png")
