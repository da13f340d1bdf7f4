"""Results of all nodes, and one node at a time at work on each."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service_kit.errors import UnprocessableImage
from transform_service.caching import results as result_cache
from transform_service.caching.results import ResultCache
from transform_service.caching.store import RedisStore

BODY = b"image"
CONTENT = "c" * 64


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    store = RedisStore(redis_url)
    await store._cache.client.flushall()
    yield store
    await store.close()


@pytest.fixture
def nodes(store: RedisStore) -> list[ResultCache]:
    return [ResultCache(store, 100, 10) for _ in range(3)]


async def work(node: ResultCache, key: str, done: list[int]) -> bytes:
    async with node.alone(key) as others:
        if others is not None:
            return others
        done.append(1)
        await asyncio.sleep(0.1)
        await node.keep(key, BODY, CONTENT)
        return BODY


async def test_many_nodes_work_once(nodes: list[ResultCache]) -> None:
    done: list[int] = []
    assert await asyncio.gather(*(work(node, "key", done) for node in nodes for _ in range(5))) == [BODY] * 15
    assert len(done) == 1


async def test_who_fails_leaves_the_work_to_the_next(nodes: list[ResultCache]) -> None:
    async def fail() -> None:
        async with nodes[0].alone("key"):
            await asyncio.sleep(0.05)
            raise RuntimeError

    failing = asyncio.create_task(fail())
    await asyncio.sleep(0.01)
    done: list[int] = []
    assert await work(nodes[1], "key", done) == BODY
    with pytest.raises(RuntimeError):
        await failing
    assert done


async def test_a_node_that_died_is_waited_for_no_longer_than_its_lease(
    nodes: list[ResultCache], store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_cache, "_LEASE", 0.2)
    assert await store.add("lease:key", b"dead", 0.2)
    done: list[int] = []
    async with asyncio.timeout(5):
        assert await work(nodes[0], "key", done) == BODY
    assert done


async def test_long_work_keeps_its_lease(nodes: list[ResultCache], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_cache, "_LEASE", 0.3)
    working, other = asyncio.Event(), asyncio.Event()

    async def long() -> None:
        async with nodes[0].alone("key"):
            working.set()
            await other.wait()
            await nodes[0].keep("key", BODY, CONTENT)

    first = asyncio.create_task(long())
    await working.wait()
    second = asyncio.create_task(work(nodes[1], "key", []))
    done, _ = await asyncio.wait([second], timeout=1)
    assert not done, "three leases long, nobody else began"
    other.set()
    assert await second == BODY
    await first


async def test_a_slow_node_is_waited_for_no_longer_than_patience(store: RedisStore) -> None:
    assert await store.add("lease:key", b"slow", 60)
    done: list[int] = []
    assert await work(ResultCache(store, 100, 0.1), "key", done) == BODY
    assert done


async def test_redis_that_is_gone_is_not_waited_for(unused_tcp_port: int) -> None:
    store = RedisStore(f"redis://127.0.0.1:{unused_tcp_port}/0")
    done: list[int] = []
    assert await work(ResultCache(store, 100, 10), "key", done) == BODY
    assert done
    await store.close()


async def test_what_cannot_be_rendered_is_remembered(nodes: list[ResultCache]) -> None:
    await nodes[0].keep_failure("key", UnprocessableImage("the image is corrupt"), CONTENT)
    with pytest.raises(UnprocessableImage, match="the image is corrupt"):
        await nodes[1].find("key")


async def test_large_results_are_not_kept(nodes: list[ResultCache]) -> None:
    await nodes[0].keep("key", bytes(101), CONTENT)
    assert await nodes[0].find("key") is None


async def test_what_was_made_of_a_content_goes_with_it(nodes: list[ResultCache]) -> None:
    await nodes[0].keep("one", BODY, CONTENT)
    await nodes[0].keep("two", BODY, "d" * 64)
    await nodes[1].forget(CONTENT)
    assert (await nodes[1].find("one"), await nodes[1].find("two")) == (None, BODY)


async def test_who_is_cancelled_while_it_asks_for_the_lease_leaves_none(nodes: list[ResultCache]) -> None:
    for number in range(40):
        key = f"cancelled {number}"
        task = asyncio.create_task(work(nodes[0], key, []))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(1):
            assert await work(nodes[1], key, []) == BODY
