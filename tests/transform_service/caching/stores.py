"""Redis as a store, with a seal for tests."""

from transform_service.caching.redis import RedisStore
from transform_service.caching.sealing import Seal

SECRET = "0123456789abcdef" * 4
LARGEST = 100_000


def redis_store(url: str, secret: str = SECRET, password: str | None = None) -> RedisStore:
    """The store at a URL."""
    return RedisStore(url, Seal(secret), LARGEST, password)
