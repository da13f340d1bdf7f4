"""The result cache: results and failures by key, and a lease so that one node at a time works on a key."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service_kit.errors import UnprocessableImage
from transform_service.caching.store import CacheStore

_SECONDS = 30.0 * 24 * 3600
_FAILURE_SECONDS = 600.0
"""An image that fails to decode fails again ten minutes later, but perhaps not in the next version."""
_LEASE = 3.0
"""Seconds until another node takes over from one that died. Well below the deadline of a render (10 s)."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25
_RESULT, _FAILURE = b"r", b"f"


class ResultCache:
    """The results of all nodes that share a store."""

    def __init__(self, store: CacheStore, entry_bytes: int, patience: float) -> None:
        """Results above `entry_bytes` are not kept. `patience` is how many seconds to wait for another node."""
        self._store = store
        self._entry_bytes = entry_bytes
        self._patience = patience

    async def find(self, key: str) -> bytes | None:
        """The result, or None if there is none. Raises UnprocessableImage if the render is known to fail."""
        entry = await self._store.get(_entry(key)) or b""
        if entry[:1] == _FAILURE:
            raise UnprocessableImage(entry[1:].decode(errors="replace"))
        return entry[1:] if entry[:1] == _RESULT else None  # another version may know others

    async def keep(self, key: str, body: bytes, content: str) -> None:
        """Keep a result, unless it is too large. `content` is the SHA-256 of the image."""
        if len(body) <= self._entry_bytes:
            await self._store.put(_entry(key), _RESULT + body, _SECONDS, content)

    async def keep_failure(self, key: str, error: UnprocessableImage, content: str) -> None:
        """Keep the error of a render that fails."""
        await self._store.put(_entry(key), _FAILURE + error.detail.encode(), _FAILURE_SECONDS, content)

    async def forget(self, content: str) -> None:
        """Remove all results of `content`."""
        await self._store.remove_group(content)

    @asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[bytes | None]:
        """Make sure that no other node works on `key`. Yields None to start, or the result of another node.

        The node at work renews its lease every second. The others wait until its lease ends if it died, or until their
        patience ends if it is slow. They do not wait at all if the store has failed.
        """
        if not self._store.shared:
            yield None
            return
        lease, owner = f"lease:{key}", uuid.uuid4().bytes
        try:
            held = await self._acquire(lease, owner, key)
            found = await self.find(key)  # another node may have stored it since the caller looked
            if found is not None or not held:
                yield found
                return
            renewal = asyncio.create_task(self._renew(lease, owner))
            try:
                yield None
            finally:
                renewal.cancel()
        finally:
            await self._store.release(lease, owner)  # a cancelled call may hold the lease without knowing it

    async def _acquire(self, lease: str, owner: bytes, key: str) -> bool:
        """Wait for the lease. Returns False if there is a result, or if the patience has ended."""
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
            await self._store.replace(lease, owner, owner, _LEASE)


def _entry(key: str) -> str:
    return f"result:{key}"
