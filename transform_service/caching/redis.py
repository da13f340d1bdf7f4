"""A store for values in Redis, which all nodes share and nobody trusts."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import unquote

from service_kit.urls import parts_of, redacted
from transform_service.caching.sealing import SEAL_BYTES, Seal
from transform_service.metrics import CACHE_ERRORS, CACHE_REFUSED

_TIMEOUT = 0.5
_NAMESPACE = "imgsvc"
_GROUP_SECONDS = 31 * 24 * 3600
"""The life of the key list of a group, in seconds: longer than that of any value."""
_GROUP_KEYS = 10_000
"""Keys in one list. Then a new list begins, and the values of the old one stay until Redis evicts them."""
_GROUP_BATCH = 500
"""Keys removed by one command, so that Redis answers others in between."""
_LONGEST_KEY = 200
_PAUSE = 1.0
"""Seconds without commands to Redis after an error, so that not every request waits for the timeout."""
_COMPLAINT_SECONDS = 60.0
_SETTING = "RESULT_CACHE_URL"

_IF_OWNED = """
    if redis.call('getrange', KEYS[1], ARGV[1], ARGV[1] + #ARGV[2]) ~= ARGV[2] then return 0 end
    return redis.call({})
"""
_REPLACE_VALUE = _IF_OWNED.format("'set', KEYS[1], ARGV[3], 'px', ARGV[4]")
_RELEASE = _IF_OWNED.format("'unlink', KEYS[1]")
_REPLACE_UNSEALED = """
    local start = redis.call('getrange', KEYS[1], 0, #ARGV[1])
    if string.sub(start, 1, math.max(1, #ARGV[1])) ~= ARGV[1] then return nil end
    return redis.call('set', KEYS[1], ARGV[2], 'px', ARGV[3])
"""
_LIST = """
    if redis.call('scard', KEYS[1]) >= tonumber(ARGV[3]) then redis.call('unlink', KEYS[1]) end
    redis.call('sadd', KEYS[1], ARGV[1])
    return redis.call('expire', KEYS[1], ARGV[2])
"""
_REMOVE_SOME = """
    local keys = redis.call('spop', KEYS[1], ARGV[1])
    for _, key in ipairs(keys) do
        if #key <= tonumber(ARGV[3]) then redis.call('unlink', ARGV[2] .. key) end
    end
    return #keys
"""

T = TypeVar("T")
logger = logging.getLogger(__name__)


class RedisStore:
    """Values in Redis. See CacheStore. Redis limits their size itself (`maxmemory`, `allkeys-lru`).

    Whoever can write to Redis can remove values, but cannot make up any: each is sealed for its key (sealing.py), and
    one without a valid seal is a miss. No more is read of a value than the largest one of this node would have.
    """

    shared = True

    def __init__(self, url: str, seal: Seal, largest: int, password: str | None = None) -> None:
        """No value has more than `largest` bytes. `password` is used if the URL has none."""
        import aiocache  # noqa: PLC0415  # 6 MB that the embedded service does not need
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.exceptions import ResponseError  # noqa: PLC0415

        parts = parts_of(_SETTING, url)
        self._seal = seal
        self._most = SEAL_BYTES + largest
        self._refused = ResponseError
        self._cache = aiocache.RedisCache(
            endpoint=parts.hostname or "127.0.0.1",
            port=parts.port or 6379,
            db=database_of(url),
            password=unquote(parts.password) if parts.password else password,
            ssl=parts.scheme == "rediss",
            connection_pool_kwargs={
                "username": unquote(parts.username) if parts.username else None,
                "retry": Retry(NoBackoff(), 1),  # Redis may have closed an idle connection
            },
            timeout=_TIMEOUT,
        )
        self._paused_until = 0.0
        self._complained_at = -_COMPLAINT_SECONDS

    async def get(self, key: str) -> bytes | None:
        """See CacheStore."""
        return self._opened(key, await self._ask(lambda: self._read(key), b""))

    async def put(self, key: str, value: bytes, seconds: float, group: str = "") -> bool:
        """See CacheStore."""
        arguments = ("PX", _milliseconds(seconds))
        stored = await self._ask(
            lambda: self._run("SET", _name(key), self._seal.close(key, value, seconds), *arguments), None
        )
        if group and stored:
            listed = (_index(group), key, _GROUP_SECONDS, _GROUP_KEYS)
            await self._ask(lambda: self._run("EVAL", _LIST, 1, *listed), None)
        return bool(stored)

    async def add(self, key: str, value: bytes, seconds: float) -> bool:
        """See CacheStore. Replaces a value without a valid seal, which may be there to keep others out."""
        sealed = self._seal.close(key, value, seconds)
        if await self._ask(lambda: self._add(key, sealed, seconds), otherwise=True):
            return True
        stored = await self._ask(lambda: self._read(key), b"")
        if self._opened(key, stored) is not None:
            return False
        arguments = (_name(key), stored[:SEAL_BYTES], sealed, _milliseconds(seconds))
        return bool(await self._ask(lambda: self._run("EVAL", _REPLACE_UNSEALED, 1, *arguments), b"failed"))

    async def replace(self, key: str, old: bytes, value: bytes, seconds: float) -> None:
        """See CacheStore."""
        sealed = self._seal.close(key, value, seconds)
        arguments = (_name(key), SEAL_BYTES, old, sealed, _milliseconds(seconds))
        await self._ask(lambda: self._run("EVAL", _REPLACE_VALUE, 1, *arguments), None)

    async def release(self, key: str, value: bytes) -> None:
        """See CacheStore."""
        await self._ask(lambda: self._run("EVAL", _RELEASE, 1, _name(key), SEAL_BYTES, value), None)

    async def remove_group(self, group: str) -> None:
        """See CacheStore."""
        arguments = (_index(group), _GROUP_BATCH, f"{_NAMESPACE}:", _LONGEST_KEY)
        for _ in range(0, _GROUP_KEYS, _GROUP_BATCH):
            removed = await self._ask(lambda: self._run("EVAL", _REMOVE_SOME, 1, *arguments), None)
            if removed != _GROUP_BATCH:
                return
        await self._ask(lambda: self._run("UNLINK", _index(group)), None)  # it is longer than any list of ours

    async def close(self) -> None:
        """Close the connections."""
        await self._cache.close()

    async def _run(self, *command: bytes | str | int) -> Any:
        """Run a command. If its key, which is the second or the fourth word, has another type, that is removed."""
        try:
            return await self._cache.raw("execute_command", *command)
        except self._refused as error:
            if "WRONGTYPE" not in str(error):
                raise
            await self._cache.raw("execute_command", "UNLINK", command[3] if command[0] == "EVAL" else command[1])
            return None

    async def _read(self, key: str) -> bytes:
        """What is stored, or one byte more than any value of ours has. Empty: nothing."""
        stored = await self._run("GETRANGE", _name(key), 0, self._most)
        return stored if isinstance(stored, bytes) else b""

    async def _add(self, key: str, sealed: bytes, seconds: float) -> bool:
        return bool(await self._run("SET", _name(key), sealed, "NX", "PX", _milliseconds(seconds)))

    def _opened(self, key: str, stored: bytes) -> bytes | None:
        if not stored:
            return None
        value = None if len(stored) > self._most else self._seal.open(key, stored)
        if value is None:
            CACHE_REFUSED.inc()
            if time.monotonic() - self._complained_at > _COMPLAINT_SECONDS:
                self._complained_at = time.monotonic()
                logger.warning("Redis has a value without a valid seal under %r; ignoring it and others like it", key)
        return value

    async def _ask(self, command: Callable[[], Awaitable[T]], otherwise: T) -> T:
        if time.monotonic() < self._paused_until:
            CACHE_ERRORS.inc()
            return otherwise
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await command()
        except Exception as error:  # noqa: BLE001  # rendering continues whatever is wrong with Redis
            CACHE_ERRORS.inc()
            logger.warning("the result cache does not respond: %.200r", error)
            self._paused_until = time.monotonic() + _PAUSE
            return otherwise


def database_of(url: str) -> int:
    """The number of the database in a URL. Raises ValueError if it is none."""
    database = parts_of(_SETTING, url).path.strip("/")
    if database and not re.fullmatch("[0-9]{1,9}", database):
        raise ValueError(f"{_SETTING}={redacted(url)!r} names the database {database!r}; use a number")
    return int(database or 0)


def _name(key: str) -> str:
    return f"{_NAMESPACE}:{key}"


def _index(group: str) -> str:
    return f"{_NAMESPACE}:group:{group}"


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
