"""The result cache of several nodes, of which only one renders each result."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service_kit.errors import UnprocessableImage
from tests.transform_service.caching.stores import redis_store
from transform_service.caching import results as results_module
from transform_service.caching.redis import RedisStore
from transform_service.caching.results import ResultCache

BODY = b"image"
CONTENT = "c" * 64


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    store = redis_store(redis_url)
    await store._run("FLUSHALL")
    yield store
    await store.close()


@pytest.fixture
def nodes(store: RedisStore) -> list[ResultCache]:
    return [ResultCache(store, 100, 10) for _ in range(3)]


async def render(node: ResultCache, key: str, done: list[int]) -> bytes:
    async with node.alone(key) as others:
        if others is not None:
            return others
        done.append(1)
        await asyncio.sleep(0.1)
        await node.keep(key, BODY, CONTENT)
        return BODY


async def test_many_nodes_render_once(nodes: list[ResultCache]) -> None:
    done: list[int] = []
    assert await asyncio.gather(*(render(node, "key", done) for node in nodes for _ in range(5))) == [BODY] * 15
    assert len(done) == 1


async def test_the_next_node_takes_over_from_one_that_fails(nodes: list[ResultCache]) -> None:
    async def fail() -> None:
        async with nodes[0].alone("key"):
            await asyncio.sleep(0.05)
            raise RuntimeError

    failing = asyncio.create_task(fail())
    await asyncio.sleep(0.01)
    done: list[int] = []
    assert await render(nodes[1], "key", done) == BODY
    with pytest.raises(RuntimeError):
        await failing
    assert done


async def test_the_wait_for_a_dead_node_ends_with_its_lease(
    nodes: list[ResultCache], store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "_LEASE", 0.2)
    assert await store.add("lease:key", b"dead", 0.2)
    done: list[int] = []
    async with asyncio.timeout(5):
        assert await render(nodes[0], "key", done) == BODY
    assert done


async def test_a_long_render_keeps_its_lease(nodes: list[ResultCache], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_module, "_LEASE", 1)  # a busy machine may take half a second to renew it
    working, other = asyncio.Event(), asyncio.Event()

    async def render_for_long() -> None:
        async with nodes[0].alone("key"):
            working.set()
            await other.wait()
            await nodes[0].keep("key", BODY, CONTENT)

    first = asyncio.create_task(render_for_long())
    await working.wait()
    second = asyncio.create_task(render(nodes[1], "key", []))
    done, _ = await asyncio.wait([second], timeout=2.5)
    assert not done, "no other node starts during two leases"
    other.set()
    assert await second == BODY
    await first


async def test_the_wait_for_a_slow_node_is_limited(store: RedisStore) -> None:
    assert await store.add("lease:key", b"slow", 60)
    done: list[int] = []
    assert await render(ResultCache(store, 100, 0.1), "key", done) == BODY
    assert done


async def test_nothing_waits_for_redis_that_is_down(unused_tcp_port: int) -> None:
    store = redis_store(f"redis://127.0.0.1:{unused_tcp_port}/0")
    done: list[int] = []
    assert await render(ResultCache(store, 100, 10), "key", done) == BODY
    assert done
    await store.close()


async def test_failures_are_cached(nodes: list[ResultCache]) -> None:
    await nodes[0].keep_failure("key", UnprocessableImage("the image is corrupt"), CONTENT)
    with pytest.raises(UnprocessableImage, match="the image is corrupt"):
        await nodes[1].find("key")


async def test_large_results_are_not_cached(nodes: list[ResultCache]) -> None:
    await nodes[0].keep("key", bytes(101), CONTENT)
    assert await nodes[0].find("key") is None


async def test_results_are_forgotten_with_their_content(nodes: list[ResultCache]) -> None:
    await nodes[0].keep("one", BODY, CONTENT)
    await nodes[0].keep("two", BODY, "d" * 64)
    await nodes[1].forget(CONTENT)
    assert (await nodes[1].find("one"), await nodes[1].find("two")) == (None, BODY)


async def test_a_node_cancelled_while_it_acquires_a_lease_leaves_none(nodes: list[ResultCache]) -> None:
    for number in range(40):
        key = f"cancelled {number}"
        task = asyncio.create_task(render(nodes[0], key, []))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(2):
            assert await render(nodes[1], key, []) == BODY
