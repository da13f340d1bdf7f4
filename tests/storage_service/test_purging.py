"""Deletions reach every cache, whatever happens meanwhile."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from service_kit.http.server import Runner, listen
from storage_service import purging
from storage_service.caches import Caches
from storage_service.metadata.base import DatabaseConfig, MetadataStore, PendingPurge, create_store
from storage_service.purging import Purger
from tests.storage_service.test_metadata import add, record


class Cache:
    """A cache node, which may refuse, and knows what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str | None]] = []
        self.status = 204
        self.heard = asyncio.Event()
        self.url = ""

    async def purge(self, request: web.Request) -> web.Response:
        self.told.append((request.path, request.headers.get("X-Content")))
        self.heard.set()
        return web.Response(status=self.status)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Cache"]:
        app = web.Application()
        app.router.add_route("PURGE", "/{path:.*}", self.purge)
        runner = Runner(app)
        await runner.setup()
        self.url = await listen(runner, "127.0.0.1", 0)
        yield self
        await runner.cleanup()

    async def hear(self, times: int) -> None:
        async with asyncio.timeout(20):
            while len(self.told) < times:
                self.heard.clear()
                await self.heard.wait()


@pytest.fixture
async def cache() -> AsyncIterator[Cache]:
    async with Cache().running() as cache:
        yield cache


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[MetadataStore]:
    store = create_store(DatabaseConfig(f"sqlite:///{tmp_path}/images.sqlite3", None, 5))
    await store.open()
    yield store
    await store.close()


@asynccontextmanager
async def purger(store: MetadataStore, *urls: str) -> AsyncIterator[Purger]:
    async with Caches(urls) as caches:
        made = Purger(store, caches)
        running = asyncio.create_task(made.run())
        yield made
        running.cancel()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "_REPEATS", (0.01, 0.02))


async def deleted(store: MetadataStore) -> PendingPurge:
    image, now = record(), datetime.now(UTC)
    await add(store, image)
    assert await store.mark_deleted(image.image_id, now, now)
    return PendingPurge(image.image_id, image.sha256, now)


async def empty(store: MetadataStore) -> bool:
    far = datetime(2100, 1, 1, tzinfo=UTC)
    return not await store.claim_purges(far, datetime.now(UTC), 10)


async def test_every_node_is_told_at_once_and_again_later(store: MetadataStore, cache: Cache) -> None:
    async with Cache().running() as another, purger(store, cache.url, another.url) as made:
        purge = await deleted(store)
        await made.announce(purge)
        told = (f"/v1/images/{purge.image_id}", purge.sha256)
        assert (cache.told[0], another.told[0]) == (told, told), "before announce returned"
        await cache.hear(3)
        await another.hear(3)
        while not await empty(store):
            await asyncio.sleep(0.01)


async def test_content_that_another_image_has_is_not_named(store: MetadataStore, cache: Cache) -> None:
    async with purger(store, cache.url) as made:
        purge = await deleted(store)
        await add(store, record())  # of the same content
        await made.announce(purge)
        assert cache.told[0] == (f"/v1/images/{purge.image_id}", None)


async def test_a_node_that_does_not_confirm_is_asked_until_it_does(store: MetadataStore, cache: Cache) -> None:
    cache.status = 503
    async with purger(store, cache.url) as made:
        await made.announce(await deleted(store))
        await cache.hear(3)
        assert not await empty(store)
        cache.status = 204
        await cache.hear(6)
        while not await empty(store):
            await asyncio.sleep(0.01)


async def test_a_silent_node_does_not_hold_up_the_others(store: MetadataStore, cache: Cache) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        images = [record(number) for number in range(300)]
        await add(store, *images)
        now = datetime.now(UTC)
        for image in images:
            await store.mark_deleted(image.image_id, now, now)
        async with purger(store, cache.url, f"http://127.0.0.1:{silent.getsockname()[1]}") as made:
            await cache.hear(1)
            purge = await deleted(store)
            await made.announce(purge)
            async with asyncio.timeout(10):
                while [path for path, _ in cache.told].count(f"/v1/images/{purge.image_id}") < 3:
                    await asyncio.sleep(0.01)


async def test_what_a_process_left_another_delivers(store: MetadataStore, cache: Cache) -> None:
    purge = await deleted(store)  # and then the process died
    async with purger(store, cache.url):
        await cache.hear(1)
    assert cache.told[0][0].endswith(purge.image_id)


async def test_a_name_without_an_address_is_no_confirmation(store: MetadataStore) -> None:
    async with purger(store, "http://cache.invalid:8081") as made:
        await made.announce(await deleted(store))
        assert not await empty(store)
