"""The store behind the caches: limited in memory, shared in Redis, and never an obstacle."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from tests.transform_service.caching.stores import redis_store
from transform_service.caching import redis as redis_module
from transform_service.caching.memory import MemoryStore
from transform_service.caching.store import CacheStore

BODY = bytes(range(256)) * 10


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[CacheStore]:
    in_redis = request.param == "redis"
    made = redis_store(request.getfixturevalue("redis_url")) if in_redis else MemoryStore(1_000_000)
    yield made
    await made.close()


async def test_a_value_is_found_as_it_was_put(store: CacheStore) -> None:
    assert await store.get("unknown") is None
    await store.put("key", BODY, 60)
    assert await store.get("key") == BODY
    assert await store.get("another") is None


async def test_two_nodes_share_redis(redis_url: str) -> None:
    first, second = redis_store(redis_url), redis_store(redis_url)
    await first.put("shared", BODY, 60)
    assert await second.get("shared") == BODY
    await first.close()
    await second.close()


async def test_user_and_password_of_redis_are_percent_decoded(redis_url: str) -> None:
    server = redis_store(redis_url)
    await server._run("ACL", "SETUSER", "us@er", "on", ">p@ss/wörd", "~*", "+@all")
    as_user = redis_url.replace("redis://", "redis://us%40er:p%40ss%2Fw%C3%B6rd@")
    store = redis_store(as_user)
    await store.put("secret", BODY, 60)
    assert await store.get("secret") == BODY
    await store.close()
    await server.close()


async def test_rediss_uses_tls() -> None:
    greeted: list[bytes] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted.append(await reader.read(3))
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    store = redis_store(f"rediss://127.0.0.1:{server.sockets[0].getsockname()[1]}/1")
    assert await store.get("key") is None
    assert set(greeted) == {b"\x16\x03\x01"}, "TLS handshakes"
    await store.close()
    server.close()


async def test_redis_that_is_down_is_a_miss(unused_tcp_port: int) -> None:
    store = redis_store(f"redis://127.0.0.1:{unused_tcp_port}/0")
    await store.put("key", BODY, 60)
    assert await store.get("key") is None
    await store.close()


async def test_only_the_first_value_is_added(store: CacheStore) -> None:
    assert await store.add("lease", b"first", 60)
    assert not await store.add("lease", b"second", 60)
    await store.release("lease", b"second")
    assert await store.get("lease") == b"first"
    await store.replace("lease", b"first", b"first", 60)
    await store.release("lease", b"first")
    assert await store.add("lease", b"second", 60)


async def test_a_group_is_removed_as_a_whole(store: CacheStore) -> None:
    for name in ("one", "two"):
        await store.put(name, BODY, 60, "group")
    await store.put("three", BODY, 60, "another group")
    await store.remove_group("group")
    await store.remove_group("unknown")
    assert [name for name in ("one", "two", "three") if await store.get(name)] == ["three"]


async def test_a_value_expires(store: CacheStore) -> None:
    await store.put("short", BODY, 0.001)
    while await store.get("short"):
        await asyncio.sleep(0)


async def test_a_value_of_another_key_is_a_miss(redis_url: str) -> None:
    store = redis_store(redis_url)
    await store.put("mine", BODY, 60)
    await store._run("COPY", "imgsvc:mine", "imgsvc:yours")
    assert await store.get("yours") is None
    assert await store.get("mine") == BODY
    await store.close()


async def test_another_database_is_another_store(redis_url: str) -> None:
    first, second = redis_store(redis_url), redis_store(redis_url.removesuffix("0") + "1")
    await first.put("key", BODY, 60)
    assert await second.get("key") is None
    await second.put("key", b"another", 60)
    assert (await first.get("key"), await second.get("key")) == (BODY, b"another")
    await first.close()
    await second.close()


async def test_commands_continue_after_redis_has_closed_the_connections(redis_url: str) -> None:
    store, other = redis_store(redis_url), redis_store(redis_url)
    await store.put("key", BODY, 60)
    await other._run("CLIENT", "KILL", "TYPE", "normal")
    assert await store.get("key") == BODY
    await store.close()
    await other.close()


async def test_cancelled_requests_do_not_mix_up_values(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten thousand requests with different keys, half are cancelled: the others get their own value or none."""
    monkeypatch.setattr(redis_module, "_TIMEOUT", 30.0)  # other tests take the cores
    store = redis_store(redis_url)
    names = [str(number) for number in range(10_000)]
    for start in range(0, len(names), 100):
        await asyncio.gather(*(store.put(name, name.encode(), 60) for name in names[start : start + 100]))
    picked = random.Random(1)
    found = 0

    async def get(name: str) -> None:
        nonlocal found
        value = await store.get(name)
        assert value in {None, name.encode()}
        found += value is not None

    for start in range(0, len(names), 100):
        tasks = [asyncio.create_task(get(name)) for name in names[start : start + 100]]
        for task in tasks:
            for _ in range(picked.randrange(3)):
                await asyncio.sleep(0)
            if picked.random() < 0.5:
                task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert result is None or isinstance(result, asyncio.CancelledError), result
    assert found > 4000
    await store.close()


async def test_the_list_of_a_group_is_limited(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_module, "_GROUP_KEYS", 10)
    store = redis_store(redis_url)
    for number in range(25):
        await store.put(f"bounded {number}", BODY, 60, "bounded")
    assert await store._run("SCARD", "imgsvc:group:bounded") == 5
    await store.close()
