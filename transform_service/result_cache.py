"""Finished results by key: in this process within a bound of bytes, or in Redis for all nodes."""

import logging
import re
from typing import Protocol
from urllib.parse import unquote

from cachetools import LRUCache

from service_kit.urls import parts_of, shown

_LIFETIME = 30 * 24 * 3600
_TIMEOUT = 0.5
_NAMESPACE = "result"
_SETTING = "RESULT_CACHE_URL"

logger = logging.getLogger(__name__)


class ResultCache(Protocol):
    """Losing any of it costs time and nothing else; so it never raises."""

    async def get(self, key: str) -> bytes | None:
        """The result, if it is still there."""

    async def put(self, key: str, body: bytes) -> None:
        """Keep a result."""

    async def close(self) -> None:
        """Let go of connections."""


class MemoryCache:
    """The results used last, as many as fit into `size` bytes."""

    def __init__(self, size: int) -> None:
        self._entries: LRUCache[str, bytes] = LRUCache(size, getsizeof=len)

    async def get(self, key: str) -> bytes | None:
        """See ResultCache."""
        return self._entries.get(key)

    async def put(self, key: str, body: bytes) -> None:
        """See ResultCache."""
        if len(body) <= self._entries.maxsize:
            self._entries[key] = body

    async def close(self) -> None:
        """Nothing to let go of."""


class RedisCache:
    """Results in Redis, which bounds them itself (`maxmemory`, `allkeys-lru`)."""

    def __init__(self, url: str) -> None:
        import aiocache  # noqa: PLC0415  # 6 MB that the embedded service does without
        from aiocache.serializers import NullSerializer  # noqa: PLC0415

        parts = parts_of(_SETTING, url)
        database = parts.path.strip("/")
        if database and not re.fullmatch("[0-9]{1,9}", database):
            raise ValueError(f"{_SETTING}={shown(url)!r} names the database {database!r}; databases are numbers")
        self._cache = aiocache.RedisCache(
            endpoint=parts.hostname or "127.0.0.1",
            port=parts.port or 6379,
            db=int(database or 0),
            password=unquote(parts.password) if parts.password else None,
            ssl=parts.scheme == "rediss",
            connection_pool_kwargs={"username": unquote(parts.username)} if parts.username else None,
            serializer=NullSerializer(encoding=None),  # the default one breaks bytes
            namespace=_NAMESPACE,
            timeout=_TIMEOUT,
        )

    async def get(self, key: str) -> bytes | None:
        """See ResultCache."""
        try:
            body: bytes | None = await self._cache.get(key)
        except Exception as error:  # noqa: BLE001  # whatever Redis's trouble is, rendering goes on
            logger.warning("the result cache does not answer: %r", error)
            return None
        return body

    async def put(self, key: str, body: bytes) -> None:
        """See ResultCache."""
        try:
            await self._cache.set(key, body, ttl=_LIFETIME)
        except Exception as error:  # noqa: BLE001
            logger.warning("the result cache takes nothing: %r", error)

    async def close(self) -> None:
        """Close the connections."""
        await self._cache.close()


def create_cache(url: str, size: int) -> ResultCache:
    """The cache that `url` names; ValueError for an unknown scheme."""
    match parts_of(_SETTING, url).scheme:
        case "memory":
            return MemoryCache(size)
        case "redis" | "rediss":
            return RedisCache(url)
        case scheme:
            raise ValueError(f"{_SETTING} has the scheme {scheme!r}; known are: memory, redis, rediss")
