"""A store for values that may disappear at any time: in this process, limited in bytes, or in Redis for all nodes."""

import hashlib
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar
from urllib.parse import unquote

from cachetools import TLRUCache

from service_kit.urls import parts_of, redacted
from transform_service.metrics import CACHE_ERRORS

_TIMEOUT = 0.5
_NAMESPACE = "imgsvc"
_GROUP_SECONDS = 31 * 24 * 3600
"""The life of the key list of a group, in seconds: longer than that of any value."""
_GROUP_KEYS = 10_000
"""Keys in one list. Then a new list begins, and the values of the old one stay until Redis evicts them."""
_SETTING = "RESULT_CACHE_URL"
_DIGEST = 16
_PAUSE = 1.0
"""Seconds without commands to Redis after an error, so that not every request waits for the timeout."""

_IF_OWNED = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call({}) else return 0 end"
_LIST = """
    if redis.call('scard', KEYS[1]) >= tonumber(ARGV[3]) then redis.call('unlink', KEYS[1]) end
    redis.call('sadd', KEYS[1], ARGV[1])
    return redis.call('expire', KEYS[1], ARGV[2])
"""
_RENEW = _IF_OWNED.format("'pexpire', KEYS[1], ARGV[2]")
_RELEASE = _IF_OWNED.format("'del', KEYS[1]")

T = TypeVar("T")
logger = logging.getLogger(__name__)


class CacheStore(Protocol):
    """A store of values by key. Losing a value costs only time, so no method raises."""

    shared: bool
    """Whether other nodes share it."""

    async def get(self, key: str) -> bytes | None:
        """The value, or None."""

    async def put(self, key: str, value: bytes, seconds: float, group: str = "") -> bool:
        """Keep a value for `seconds`. Returns False if that may have failed: an older value may still be there."""

    async def add(self, key: str, value: bytes, seconds: float) -> bool:
        """Keep a value unless the key has one. Returns False if it has one, and True if the store has failed."""

    async def renew(self, key: str, value: bytes, seconds: float) -> None:
        """Extend the life of this value, if it is still there."""

    async def release(self, key: str, value: bytes) -> None:
        """Remove this value, if it is still there."""

    async def remove_group(self, group: str) -> None:
        """Remove all values of a group."""

    async def close(self) -> None:
        """Close connections."""


class _Entry:
    __slots__ = ("group", "seconds", "value")

    def __init__(self, value: bytes, seconds: float, group: str) -> None:
        self.value, self.seconds, self.group = value, seconds, group


class MemoryStore:
    """Values in this process: those used last, as many as fit into `size` bytes."""

    shared = False

    def __init__(self, size: int) -> None:
        self._entries: TLRUCache[str, _Entry] = TLRUCache(
            size, ttu=lambda _, entry, now: now + entry.seconds, timer=time.monotonic, getsizeof=lambda e: len(e.value)
        )

    async def get(self, key: str) -> bytes | None:
        """See CacheStore."""
        entry = self._entries.get(key)
        return entry.value if entry else None

    async def put(self, key: str, value: bytes, seconds: float, group: str = "") -> bool:
        """See CacheStore."""
        self._entries.pop(key, None)
        if len(value) <= self._entries.maxsize:
            self._entries[key] = _Entry(value, seconds, group)
        return True

    async def add(self, key: str, value: bytes, seconds: float) -> bool:
        """See CacheStore."""
        if key in self._entries:
            return False
        await self.put(key, value, seconds)
        return True

    async def renew(self, key: str, value: bytes, seconds: float) -> None:
        """See CacheStore."""
        if await self.get(key) == value:
            await self.put(key, value, seconds)

    async def release(self, key: str, value: bytes) -> None:
        """See CacheStore."""
        if await self.get(key) == value:
            self._entries.pop(key, None)

    async def remove_group(self, group: str) -> None:
        """See CacheStore."""
        for key in [key for key, entry in self._entries.items() if entry.group == group]:
            self._entries.pop(key, None)

    async def close(self) -> None:
        """Nothing to close."""


class RedisStore:
    """Values in Redis, which limits their size itself (`maxmemory`, `allkeys-lru`).

    Each value starts with a digest of its key, so that the answer to another command is never used by mistake.
    """

    shared = True

    def __init__(self, url: str) -> None:
        import aiocache  # noqa: PLC0415  # 6 MB that the embedded service does not need
        from aiocache.serializers import NullSerializer  # noqa: PLC0415

        parts = parts_of(_SETTING, url)
        database = parts.path.strip("/")
        if database and not re.fullmatch("[0-9]{1,9}", database):
            raise ValueError(f"{_SETTING}={redacted(url)!r} names the database {database!r}; use a number")
        self._cache = aiocache.RedisCache(
            endpoint=parts.hostname or "127.0.0.1",
            port=parts.port or 6379,
            db=int(database or 0),
            password=unquote(parts.password) if parts.password else None,
            ssl=parts.scheme == "rediss",
            connection_pool_kwargs={"username": unquote(parts.username)} if parts.username else None,
            serializer=NullSerializer(encoding=None),  # the default serializer breaks bytes
            namespace=_NAMESPACE,
            key_builder=lambda key, namespace: f"{namespace}:{key}",
            timeout=_TIMEOUT,
        )
        self._paused_until = 0.0

    async def get(self, key: str) -> bytes | None:
        """See CacheStore."""
        stored = await self._ask(lambda: self._cache.get(key), None)
        if not isinstance(stored, bytes):
            return None
        if stored[:_DIGEST] != _digest(key):
            logger.error("the cache returned the value of another key than %r; ignoring it", key)
            return None
        return stored[_DIGEST:]

    async def put(self, key: str, value: bytes, seconds: float, group: str = "") -> bool:
        """See CacheStore."""
        stored = await self._ask(lambda: self._cache.set(key, _digest(key) + value, ttl=float(seconds)), None)
        if group and stored:
            arguments = (_index(group), key, _GROUP_SECONDS, _GROUP_KEYS)
            await self._ask(lambda: self._cache.raw("eval", _LIST, 1, *arguments), None)
        return bool(stored)

    async def add(self, key: str, value: bytes, seconds: float) -> bool:
        """See CacheStore."""
        return await self._ask(lambda: self._add(key, _digest(key) + value, seconds), otherwise=True)

    async def _add(self, key: str, stored: bytes, seconds: float) -> bool:
        try:
            await self._cache.add(key, stored, ttl=float(seconds))
        except ValueError:  # aiocache raises this if the key exists
            return False
        return True

    async def renew(self, key: str, value: bytes, seconds: float) -> None:
        """See CacheStore."""
        arguments = (f"{_NAMESPACE}:{key}", _digest(key) + value, int(seconds * 1000))
        await self._ask(lambda: self._cache.raw("eval", _RENEW, 1, *arguments), None)

    async def release(self, key: str, value: bytes) -> None:
        """See CacheStore."""
        arguments = (f"{_NAMESPACE}:{key}", _digest(key) + value)
        await self._ask(lambda: self._cache.raw("eval", _RELEASE, 1, *arguments), None)

    async def remove_group(self, group: str) -> None:
        """See CacheStore."""
        index = _index(group)
        keys = await self._ask(lambda: self._cache.raw("smembers", index), None)
        if keys:
            names = [f"{_NAMESPACE}:{key.decode()}" for key in keys]
            await self._ask(lambda: self._cache.raw("unlink", index, *names), None)

    async def close(self) -> None:
        """Close the connections."""
        await self._cache.close()

    async def _ask(self, command: Callable[[], Awaitable[T]], otherwise: T) -> T:
        if time.monotonic() < self._paused_until:
            CACHE_ERRORS.inc()
            return otherwise
        try:
            return await command()
        except Exception as error:  # noqa: BLE001  # rendering continues whatever is wrong with Redis
            CACHE_ERRORS.inc()
            logger.warning("the result cache does not respond: %r", error)
            self._paused_until = time.monotonic() + _PAUSE
            return otherwise


def create_store(url: str, size: int) -> CacheStore:
    """The store at `url`. Raises ValueError for an unknown scheme."""
    match parts_of(_SETTING, url).scheme:
        case "memory":
            return MemoryStore(size)
        case "redis" | "rediss":
            return RedisStore(url)
        case scheme:
            raise ValueError(f"{_SETTING} has the unknown scheme {scheme!r}; use one of: memory, redis, rediss")


def _index(group: str) -> str:
    return f"{_NAMESPACE}:group:{group}"


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=_DIGEST).digest()
