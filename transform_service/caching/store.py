"""A store for values that may disappear at any time: in this process, limited in bytes, or in Redis for all nodes."""

from typing import Protocol

from service_kit.settings import secret_in
from service_kit.urls import parts_of
from transform_service.caching.memory import MemoryStore
from transform_service.caching.redis import RedisStore, database_of
from transform_service.caching.sealing import Seal
from transform_service.settings import TransformSettings

_SETTING = "RESULT_CACHE_URL"
_LARGEST_RECORD = 16 * 1024


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

    async def replace(self, key: str, old: bytes, value: bytes, seconds: float) -> None:
        """Keep a value for `seconds` in place of an old one, which may be the same, if that is still there."""

    async def release(self, key: str, value: bytes) -> None:
        """Remove this value, if it is still there."""

    async def remove_group(self, group: str) -> None:
        """Remove all values of a group."""

    async def close(self) -> None:
        """Close connections."""


def create_store(settings: TransformSettings) -> CacheStore:
    """The store at RESULT_CACHE_URL. Raises ValueError for an unknown scheme, or for a shared store without a key."""
    url = settings.result_cache_url
    match parts_of(_SETTING, url).scheme:
        case "memory":
            return MemoryStore(settings.result_cache_bytes)
        case "redis" | "rediss":
            database_of(url)
            secret = secret_in("CACHE_KEY_FILE", settings.cache_key_file) or settings.cache_key
            if not secret:
                raise ValueError(
                    f"{_SETTING} names a Redis, in which others may write; set CACHE_KEY_FILE to a file with a secret"
                    " that all transform nodes share (openssl rand -hex 32)"
                )
            largest = max(settings.result_cache_entry_bytes + 1, _LARGEST_RECORD)
            password = secret_in("RESULT_CACHE_PASSWORD_FILE", settings.result_cache_password_file)
            return RedisStore(url, Seal(secret), largest, password)
        case scheme:
            raise ValueError(f"{_SETTING} has the unknown scheme {scheme!r}; use one of: memory, redis, rediss")
