"""The record cache: it keeps records until their images are deleted."""

import math
from pathlib import Path

import pytest

from imaging.header import Header
from imaging.levels import Level
from imaging.locator import Located
from service_kit.errors import Gone, Unavailable
from tests.transform_service.caching.stores import redis_store
from transform_service.caching.memory import MemoryStore
from transform_service.caching.places import BlobPlaces
from transform_service.caching.records import CachedLocator
from transform_service.settings import TransformSettings

ID = "0123456789abcdef" * 2
PLACES = BlobPlaces(TransformSettings(blob_url="file:///blobs"))


class Storage:
    """A fake storage service with one image. The image may be deleted, the service may be down."""

    def __init__(self) -> None:
        self.requests = 0
        self.deleted = self.down = False
        self.levels: tuple[Level, ...] = ()

    async def locate(self, image_id: str) -> Located:
        self.requests += 1
        if self.down:
            raise Unavailable("down")
        if self.deleted:
            raise Gone("deleted")
        header = Header(
            format="png",
            width=1,
            height=1,
            frames=1,
            orientation=1,
            colour_space="srgb",
            alpha=False,
            progressive=False,
        )
        return Located(
            image_id=image_id,
            sha256="a" * 64,
            bytes=1,
            header=header,
            path=Path("/blobs/sha256/a"),
            visibility="public",
            space="default",
            levels=self.levels,
        )

    async def keep_level(self, image_id: str, side: int, file: Path) -> None:
        header = (await self.locate(image_id)).header
        self.levels = (Level(side=side, header=header, bytes=1, sha256="b" * 64, path=file),)

    async def drop_level(self, image_id: str, side: int) -> None:
        self.levels = ()

    async def confirm(self, image_id: str) -> None:
        await self.locate(image_id)


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def locator(storage: Storage) -> CachedLocator:
    return CachedLocator(storage, MemoryStore(100_000), PLACES)


async def test_a_record_is_requested_once(storage: Storage, locator: CachedLocator) -> None:
    first = await locator.locate(ID)
    assert await locator.locate(ID) == first
    assert storage.requests == 1


async def test_a_deleted_image_is_gone_although_it_was_cached(storage: Storage, locator: CachedLocator) -> None:
    await locator.locate(ID)
    await locator.forget(ID)
    with pytest.raises(Gone):
        await locator.locate(ID)
    assert storage.requests == 1


async def test_a_record_requested_before_the_deletion_does_not_come_back(storage: Storage) -> None:
    store = MemoryStore(100_000)
    locator = CachedLocator(storage, store, PLACES)

    class Slow(Storage):
        async def locate(self, image_id: str) -> Located:
            located = await super().locate(image_id)
            await locator.forget(image_id)  # deleted while the response arrives
            return located

    await CachedLocator(Slow(), store, PLACES).locate(ID)
    with pytest.raises(Gone):
        await locator.locate(ID)


async def test_a_dropped_record_is_requested_again_and_does_not_come_back(storage: Storage) -> None:
    """The image was found damaged: storage says so, and says when it is whole again."""
    store = MemoryStore(100_000)
    locator = CachedLocator(storage, store, PLACES)
    await locator.locate(ID)
    await locator.drop(ID)
    storage.deleted = True
    with pytest.raises(Gone):
        await locator.locate(ID)
    storage.deleted = False

    class Slow(Storage):
        async def locate(self, image_id: str) -> Located:
            located = await super().locate(image_id)
            await locator.drop(image_id)  # found damaged while the response arrives
            return located

    await CachedLocator(Slow(), store, PLACES).locate(ID)
    requests = storage.requests
    await locator.locate(ID)
    assert storage.requests == requests + 1


async def test_dropping_fails_while_the_store_is_down(storage: Storage, unused_tcp_port: int) -> None:
    store = redis_store(f"redis://127.0.0.1:{unused_tcp_port}/0")
    with pytest.raises(Unavailable):
        await CachedLocator(storage, store, PLACES).drop(ID)
    await store.close()


async def test_confirming_bypasses_the_cache(storage: Storage, locator: CachedLocator) -> None:
    await locator.locate(ID)
    storage.deleted = True
    with pytest.raises(Gone):
        await locator.confirm(ID)


async def test_cached_records_are_confirmed_while_storage_is_down(storage: Storage, locator: CachedLocator) -> None:
    storage.down = True
    with pytest.raises(Unavailable):
        await locator.confirm(ID)
    storage.down = False
    await locator.locate(ID)
    storage.down = True
    await locator.confirm(ID)
    await locator.forget(ID)
    with pytest.raises(Gone):
        await locator.confirm(ID)


async def test_forgetting_fails_while_the_store_is_down(storage: Storage, unused_tcp_port: int) -> None:
    store = redis_store(f"redis://127.0.0.1:{unused_tcp_port}/0")
    with pytest.raises(Unavailable):
        await CachedLocator(storage, store, PLACES).forget(ID)
    await store.close()


async def test_a_deleted_record_does_not_come_back_after_an_outage_of_the_store(
    storage: Storage, redis_url: str
) -> None:
    """The store was down when the image was deleted, and still has the old record when it is back."""
    store = redis_store(redis_url)
    locator = CachedLocator(storage, store, PLACES)
    await locator.locate(ID)
    store._paused_until = math.inf
    with pytest.raises(Unavailable):
        await locator.forget(ID)
    store._paused_until = 0
    with pytest.raises(Gone):
        await locator.locate(ID)
    await locator.forget(ID)
    with pytest.raises(Gone):
        await CachedLocator(storage, store, PLACES).locate(ID)
    await store.close()


async def test_a_record_knows_its_levels_at_once(storage: Storage, locator: CachedLocator) -> None:
    assert (await locator.locate(ID)).levels == ()
    await locator.keep_level(ID, 800, Path("/blobs/levels/800/a"))
    requests = storage.requests
    assert [level.side for level in (await locator.locate(ID)).levels or ()] == [800]
    await locator.drop_level(ID, 800)
    assert (await locator.locate(ID)).levels == ()
    assert storage.requests == requests + 1  # by drop_level


async def test_a_level_does_not_bring_a_deleted_image_back(locator: CachedLocator) -> None:
    await locator.locate(ID)
    await locator.forget(ID)
    await locator.keep_level(ID, 800, Path("/blobs/levels/800/a"))
    with pytest.raises(Gone):
        await locator.locate(ID)


async def test_a_level_outside_of_the_blobs_is_not_believed(storage: Storage, locator: CachedLocator) -> None:
    await locator.locate(ID)
    await locator.keep_level(ID, 800, Path("/etc/passwd"))
    requests = storage.requests
    await locator.locate(ID)
    assert storage.requests == requests + 1
