"""The result cache: bounded in memory, shared in Redis, never in the way."""

from collections.abc import AsyncIterator

import pytest

from transform_service.result_cache import MemoryCache, RedisCache, ResultCache, create_cache

BODY = bytes(range(256)) * 10


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[ResultCache]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else "memory://"
    made = create_cache(url, 100_000)
    yield made
    await made.close()


async def test_a_result_comes_back_as_bytes(cache: ResultCache) -> None:
    assert await cache.get("unknown") is None
    await cache.put("key", BODY)
    assert await cache.get("key") == BODY
    assert await cache.get("another") is None


async def test_memory_is_bounded_in_bytes() -> None:
    cache = MemoryCache(10_000)
    for number in range(100):
        await cache.put(str(number), bytes(3000))
    assert [number for number in range(100) if await cache.get(str(number))] == [97, 98, 99]
    await cache.put("too large", bytes(10_001))
    assert await cache.get("too large") is None


async def test_two_nodes_share_redis(redis_url: str) -> None:
    first, second = RedisCache(redis_url), RedisCache(redis_url)
    await first.put("shared", BODY)
    assert await second.get("shared") == BODY
    await first.close()
    await second.close()


async def test_redis_is_told_user_and_password_decoded(redis_url: str) -> None:
    server = RedisCache(redis_url)
    await server._cache.client.execute_command("ACL", "SETUSER", "us@er", "on", ">p@ss/wörd", "~*", "+@all")
    as_user = redis_url.replace("redis://", "redis://us%40er:p%40ss%2Fw%C3%B6rd@")
    cache = create_cache(as_user, 0)
    await cache.put("secret", BODY)
    assert await cache.get("secret") == BODY
    await cache.close()
    await server.close()


async def test_redis_may_be_encrypted() -> None:
    cache = create_cache("rediss://cache.example:6380/1", 0)
    assert isinstance(cache, RedisCache)
    connection = cache._cache.client.connection_pool.make_connection()
    assert (type(connection).__name__, connection.host, connection.port) == ("SSLConnection", "cache.example", 6380)
    await cache.close()


async def test_redis_that_is_gone_is_a_miss(unused_tcp_port: int) -> None:
    cache = RedisCache(f"redis://127.0.0.1:{unused_tcp_port}/0")
    await cache.put("key", BODY)
    assert await cache.get("key") is None
    await cache.close()
