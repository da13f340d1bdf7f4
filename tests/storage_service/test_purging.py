"""Deletions reach every cache, whatever happens meanwhile."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast

import pytest
from aiohttp import web

from service_kit.http.server import Runner, listen
from storage_service import purging
from storage_service.audit import AuditTrail
from storage_service.blobs import Blobs
from storage_service.caches import Caches, PurgeOrder
from storage_service.library import Library
from storage_service.metadata.base import DatabaseConfig, MetadataStore, PendingPurge, create_store
from storage_service.purging import Purger
from storage_service.settings import StorageSettings
from storage_service.validation import Validator
from tests.storage_service.conftest import derived
from tests.storage_service.test_metadata import add, record


class Cache:
    """A fake cache node, which records purges and may refuse them."""

    def __init__(self) -> None:
        self.purges: list[tuple[str, str | None]] = []
        self.reasons: list[str | None] = []
        self.status = 204
        self._received = asyncio.Event()
        self.url = ""

    async def purge(self, request: web.Request) -> web.Response:
        self.purges.append((request.path, request.headers.get("X-Content")))
        self.reasons.append(request.headers.get("X-Purge-Reason"))
        self._received.set()
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

    async def receive(self, times: int) -> None:
        async with asyncio.timeout(20):
            while len(self.purges) < times:
                self._received.clear()
                await self._received.wait()


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


class CountedStore:
    """A real store that counts the calls of its methods."""

    def __init__(self, store: MetadataStore, *, exclusive: bool) -> None:
        self._store = store
        self.exclusive = exclusive
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> object:
        self.calls[name] += 1
        return getattr(self._store, name)


class Wake(asyncio.Event):
    """The event that a purger sleeps on; `asleep` is set while it does."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = asyncio.Event()

    async def wait(self) -> Literal[True]:
        self.asleep.set()
        try:
            return await super().wait()
        finally:
            self.asleep.clear()


@asynccontextmanager
async def watched(
    store: MetadataStore, *urls: str, exclusive: bool = True
) -> AsyncIterator[tuple[Purger, Wake, CountedStore]]:
    """A running purger, its wake event and its store."""
    counted, wake = CountedStore(store, exclusive=exclusive), Wake()
    async with Caches(urls) as caches:
        made = Purger(cast("MetadataStore", counted), caches)
        made._wake = wake
        running = asyncio.create_task(made.run())
        yield made, wake, counted
        running.cancel()


async def let_an_hour_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the loop's clock forward, so that every timer of the next hour goes off."""
    loop = asyncio.get_running_loop()
    now = loop.time
    with monkeypatch.context() as patch:
        patch.setattr(loop, "time", lambda: now() + 3600)
        for _ in range(10):
            await asyncio.sleep(0)


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


async def test_every_node_is_purged_immediately_and_again_later(store: MetadataStore, cache: Cache) -> None:
    async with Cache().running() as another, purger(store, cache.url, another.url) as made:
        purge = await deleted(store)
        await made.announce(purge)
        expected = (f"/v1/images/{purge.image_id}", purge.sha256)
        assert (cache.purges[0], another.purges[0]) == (expected, expected), "sent before announce returned"
        await cache.receive(3)
        await another.receive(3)
        while not await empty(store):
            await asyncio.sleep(0.01)


async def test_content_of_another_image_is_not_purged(store: MetadataStore, cache: Cache) -> None:
    async with purger(store, cache.url) as made:
        purge = await deleted(store)
        await add(store, record())  # with the same content
        await made.announce(purge)
        assert cache.purges[0] == (f"/v1/images/{purge.image_id}", None)


async def test_damage_is_purged_with_its_reason_and_its_content(store: MetadataStore, cache: Cache) -> None:
    image, twin, now = record(1), record(1), datetime.now(UTC)
    await add(store, image, twin)
    async with store.lock_content(image.sha256) as content:
        await content.mark_damaged(now)
    async with purger(store, cache.url):
        await cache.receive(6)
    assert set(cache.purges) == {(f"/v1/images/{each.image_id}", image.sha256) for each in (image, twin)}
    assert set(cache.reasons) == {"damaged"}
    purge = await deleted(store)
    async with purger(store, cache.url) as made:
        await made.announce(purge)
    assert cache.reasons[-1] is None


async def test_a_cache_in_this_process_is_purged_too(store: MetadataStore) -> None:
    orders: list[PurgeOrder] = []

    class OwnCache:
        async def purge(self, order: PurgeOrder) -> bool:
            orders.append(order)
            return True

    async with Caches((), [OwnCache()]) as caches:
        purge = await deleted(store)
        await Purger(store, caches).announce(purge)
    assert orders == [PurgeOrder(purge.image_id, purge.sha256)]


async def test_a_node_that_does_not_confirm_is_purged_again_until_it_does(store: MetadataStore, cache: Cache) -> None:
    cache.status = 503
    async with purger(store, cache.url) as made:
        await made.announce(await deleted(store))
        await cache.receive(3)
        assert not await empty(store)
        cache.status = 204
        await cache.receive(6)
        while not await empty(store):
            await asyncio.sleep(0.01)


async def test_a_silent_node_does_not_delay_the_others(store: MetadataStore, cache: Cache) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections and never responds
        images = [record(number) for number in range(300)]
        await add(store, *images)
        now = datetime.now(UTC)
        for image in images:
            await store.mark_deleted(image.image_id, now, now)
        async with purger(store, cache.url, f"http://127.0.0.1:{silent.getsockname()[1]}") as made:
            await cache.receive(1)
            purge = await deleted(store)
            await made.announce(purge)
            async with asyncio.timeout(10):
                while [path for path, _ in cache.purges].count(f"/v1/images/{purge.image_id}") < 3:
                    await asyncio.sleep(0.01)


async def test_another_process_delivers_the_purges_of_one_that_died(store: MetadataStore, cache: Cache) -> None:
    purge = await deleted(store)  # and then the process died
    async with purger(store, cache.url):
        await cache.receive(1)
    assert cache.purges[0][0].endswith(purge.image_id)


async def test_a_host_without_an_address_does_not_confirm(store: MetadataStore) -> None:
    async with purger(store, "http://cache.invalid:8081") as made:
        await made.announce(await deleted(store))
        assert not await empty(store)


async def test_an_idle_purger_issues_no_query(store: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(store) as (_, wake, counted):
        await wake.asleep.wait()
        assert counted.calls == {"claim_purges": 1, "next_purge": 1}
        await let_an_hour_pass(monkeypatch)
        assert wake.asleep.is_set()
        assert counted.calls == {"claim_purges": 1, "next_purge": 1}


async def test_an_idle_purger_looks_again_if_others_use_the_database(
    store: MetadataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another node may die between committing a deletion and announcing it."""
    async with watched(store, exclusive=False) as (_, wake, counted):
        await wake.asleep.wait()
        await let_an_hour_pass(monkeypatch)
        assert counted.calls["claim_purges"] == 2


async def test_a_deletion_wakes_an_idle_purger(store: MetadataStore, cache: Cache) -> None:
    async with watched(store, cache.url) as (made, wake, counted):
        await wake.asleep.wait()
        purge = await deleted(store)
        await made.announce(purge)
        assert len(cache.purges) == 1, "announcing it delivers the first round"
        await cache.receive(3)
        assert counted.calls["claim_purges"] >= 3


async def test_a_purger_sleeps_until_the_next_purge_is_due(store: MetadataStore, cache: Cache) -> None:
    image, now = record(), datetime.now(UTC)
    due = now + timedelta(milliseconds=300)
    await add(store, image)
    await store.mark_deleted(image.image_id, now, due)
    async with watched(store, cache.url) as (_, wake, counted):
        await wake.asleep.wait()
        assert counted.calls["claim_purges"] == 1
        assert not cache.purges
        await cache.receive(1)
        assert datetime.now(UTC) >= due
        assert counted.calls["claim_purges"] <= 3  # two, unless the two clocks differ and it wakes a little early


async def test_a_deletion_is_purged_although_its_client_hung_up(
    store: MetadataStore, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, commit = record(), store.mark_deleted
    await add(store, image)

    async def commit_and_hang_up(*change: Any) -> bool:
        await commit(*change)
        raise asyncio.CancelledError

    monkeypatch.setattr(store, "mark_deleted", commit_and_hang_up)
    async with watched(store, cache.url) as (made, wake, _):
        await wake.asleep.wait()
        audit = AuditTrail(store, 1000)
        library = Library(
            store,
            Blobs(f"file://{tmp_path}"),
            Validator(StorageSettings()),
            made,
            audit,
            **derived(store, Blobs(f"file://{tmp_path}")),
        )
        with pytest.raises(asyncio.CancelledError):
            await library.delete(image.image_id)
        await cache.receive(1)
    assert cache.purges[0] == (f"/v1/images/{image.image_id}", image.sha256)


async def test_an_interrupted_announcement_wakes_the_purger(store: MetadataStore, cache: Cache) -> None:
    async with watched(store, cache.url) as (made, wake, _):
        await wake.asleep.wait()
        purge = await deleted(store)
        announcement = asyncio.create_task(made.announce(purge))
        await asyncio.sleep(0)  # it waits for the database now
        announcement.cancel()
        await asyncio.gather(announcement, return_exceptions=True)
        await cache.receive(1)
