"""Results by key, what could not be rendered included, and one node at a time at work on each."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service_kit.errors import UnprocessableImage
from transform_service.cache_store import CacheStore

_SECONDS = 30.0 * 24 * 3600
_FAILURE_SECONDS = 600.0
"""An image that cannot be decoded today cannot be in five minutes either; with the next version perhaps it can."""
_LEASE = 3.0
"""Seconds until the work of a node that died is another's; well below a render's deadline (10 s)."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25
_RESULT, _FAILURE = b"r", b"f"


class ResultCache:
    """Finished work of all nodes that share a store."""

    def __init__(self, store: CacheStore, entry_bytes: int, patience: float) -> None:
        """`entry_bytes`: what is larger is not kept. `patience`: seconds to wait for the work of another node."""
        self._store = store
        self._entry_bytes = entry_bytes
        self._patience = patience

    async def find(self, key: str) -> bytes | None:
        """The result, if it is known; UnprocessableImage where it is known that there can be none."""
        entry = await self._store.get(_entry(key))
        if entry is None:
            return None
        if entry[:1] == _FAILURE:
            raise UnprocessableImage(entry[1:].decode())
        return entry[1:]

    async def keep(self, key: str, body: bytes, content: str) -> None:
        """Keep a result that was made of `content` (a SHA-256), unless it is too large."""
        if len(body) <= self._entry_bytes:
            await self._store.put(_entry(key), _RESULT + body, _SECONDS, content)

    async def keep_failure(self, key: str, error: UnprocessableImage, content: str) -> None:
        """Keep why there can be no result."""
        await self._store.put(_entry(key), _FAILURE + error.detail.encode(), _FAILURE_SECONDS, content)

    async def forget(self, content: str) -> None:
        """Remove all results that were made of `content`."""
        await self._store.remove_group(content)

    @asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[bytes | None]:
        """Be the only node at work on `key`: yields None to who is to do it, and the result where another was first.

        Who holds the key says so again every second. One that died is waited for no longer than its lease, one that is
        slow no longer than `patience`, and a store in trouble is not waited for at all.
        """
        if not self._store.shared:
            yield None
            return
        lease, owner = f"lease:{key}", uuid.uuid4().bytes
        try:
            held = await self._acquire(lease, owner, key)
            found = await self.find(key)  # made between the first look and the lease
            if found is not None or not held:
                yield found
                return
            renewal = asyncio.create_task(self._renew(lease, owner))
            try:
                yield None
            finally:
                renewal.cancel()
        finally:
            await self._store.release(lease, owner)  # whoever was cancelled may hold it without having heard so

    async def _acquire(self, lease: str, owner: bytes, key: str) -> bool:
        """True with the lease; False when the result is there, or patience is at its end."""
        end, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while not await self._store.add(lease, owner, _LEASE):
            if await self._store.get(_entry(key)) is not None or time.monotonic() > end:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        return True

    async def _renew(self, lease: str, owner: bytes) -> None:
        while True:
            await asyncio.sleep(_LEASE / 3)
            await self._store.renew(lease, owner, _LEASE)


def _entry(key: str) -> str:
    return f"result:{key}"
