"""Finished results by key: in this process within a bound of bytes, or in Redis for all nodes."""

import logging
from typing import Protocol
from urllib.parse import urlsplit

from cachetools import LRUCache

_LIFETIME = 30 * 24 * 3600
_TIMEOUT = 0.5
_NAMESPACE = "result"

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

        parts = urlsplit(url)
        self._cache = aiocache.RedisCache(
            endpoint=parts.hostname or "127.0.0.1",
            port=parts.port or 6379,
            db=int(parts.path.strip("/") or 0),
            password=parts.password,
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
    match urlsplit(url).scheme:
        case "memory":
            return MemoryCache(size)
        case "redis":
            return RedisCache(url)
        case scheme:
            raise ValueError(f"RESULT_CACHE_URL has the scheme {scheme!r}; known are: memory, redis")
