"""Records of images, remembered until the images are deleted."""

import math
from pathlib import Path

import pytest

from imaging.header import Header
from imaging.locator import Located
from service_kit.errors import Gone, Unavailable
from transform_service.caching.records import CachedLocator
from transform_service.caching.store import MemoryStore, RedisStore

ID = "0123456789abcdef" * 2


class Storage:
    """A storage service of one image, which may be deleted, and may be down."""

    def __init__(self) -> None:
        self.asked = 0
        self.deleted = self.down = False

    async def locate(self, image_id: str) -> Located:
        self.asked += 1
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
        return Located(image_id=image_id, sha256="a" * 64, bytes=1, header=header, path=Path("/blob"))

    async def confirm(self, image_id: str) -> None:
        await self.locate(image_id)


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def locator(storage: Storage) -> CachedLocator:
    return CachedLocator(storage, MemoryStore(10_000))


async def test_storage_is_asked_once(storage: Storage, locator: CachedLocator) -> None:
    first = await locator.locate(ID)
    assert await locator.locate(ID) == first
    assert storage.asked == 1


async def test_a_deleted_image_is_gone_although_it_was_known(storage: Storage, locator: CachedLocator) -> None:
    await locator.locate(ID)
    await locator.forget(ID)
    with pytest.raises(Gone):
        await locator.locate(ID)
    assert storage.asked == 1


async def test_what_was_looked_up_before_the_deletion_does_not_come_back(storage: Storage) -> None:
    store = MemoryStore(10_000)
    locator = CachedLocator(storage, store)

    class Slow(Storage):
        async def locate(self, image_id: str) -> Located:
            located = await super().locate(image_id)
            await locator.forget(image_id)  # deleted while the response is on its way
            return located

    await CachedLocator(Slow(), store).locate(ID)
    with pytest.raises(Gone):
        await locator.locate(ID)


async def test_confirming_asks_storage_itself(storage: Storage, locator: CachedLocator) -> None:
    await locator.locate(ID)
    storage.deleted = True
    with pytest.raises(Gone):
        await locator.confirm(ID)


async def test_with_storage_down_what_is_known_holds(storage: Storage, locator: CachedLocator) -> None:
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


async def test_a_store_that_does_not_answer_has_not_forgotten(storage: Storage, unused_tcp_port: int) -> None:
    store = RedisStore(f"redis://127.0.0.1:{unused_tcp_port}/0")
    with pytest.raises(Unavailable):
        await CachedLocator(storage, store).forget(ID)
    await store.close()


async def test_a_record_does_not_come_back_with_its_store(storage: Storage, redis_url: str) -> None:
    """The store was away while the image was deleted, and has the old record still when it is back."""
    store = RedisStore(redis_url)
    locator = CachedLocator(storage, store)
    await locator.locate(ID)
    store._paused_until = math.inf
    with pytest.raises(Unavailable):
        await locator.forget(ID)
    store._paused_until = 0
    with pytest.raises(Gone):
        await locator.locate(ID)
    await locator.forget(ID)
    with pytest.raises(Gone):
        await CachedLocator(storage, store).locate(ID)
    await store.close()
