"""Makes caches forget what a name shows, before it changes (docs/adr/0079)."""

import asyncio
import contextlib
import time
from dataclasses import dataclass

from storage_service.caches import Caches, PurgeOrder
from storage_service.metadata.base import MetadataStore

_SETTLE_SECONDS = 0.3
"""After a mark, until no cache can keep an answer from before it any more: Varnish keeps only what it got within 0.1 s
(varnish/names.vcl)."""
_PURGE_SECONDS = 0.5
_KEPT_SECONDS = 10.5
"""After a mark, until no cache has an answer from before it any more, also if it could not be purged."""
_AGAIN_SECONDS = 0.2
_MARK_SECONDS = 16.0
"""How long a mark lasts. Clocks of nodes may differ by the rest that a change leaves."""
_CHANGE_SECONDS = 14.0
KEPT_SECONDS = 10
"""For how long Varnish keeps which image a name shows."""
_MARK_OF = "SELECT changing_until FROM names WHERE name = $1"
_MARK = "UPDATE names SET changing_until = $2 WHERE name = $1 AND changing_until = $3"


@dataclass(frozen=True, slots=True)
class Change:
    """A change that has begun."""

    mark: int
    earlier: int
    """The mark before, whose change may still go on. It holds again when this one is over."""
    latest: float
    """When the change has to be made (time.monotonic)."""

    @property
    def is_late(self) -> bool:
        """Whether caches may keep answers again, since the mark may have ended."""
        return time.monotonic() > self.latest


class Settling:
    """Marks names that change, and waits until no cache knows better."""

    def __init__(self, metadata: MetadataStore, caches: Caches) -> None:
        self._metadata = metadata
        self._caches = caches

    async def prepare(self, name: str) -> "Change | None":
        """Begin a change: no cache keeps what the name shows now, nor will it keep an answer from before the change.

        Returns None if the name does not exist.
        """
        change = await self.mark(name)
        if change:
            await self.settle(name)
        return change

    async def settle(self, name: str) -> None:
        """Wait until no cache keeps an answer from before this call, provided that no new one may be kept."""
        if not self._caches.remote:
            return
        forgotten = time.monotonic() + _KEPT_SECONDS
        await asyncio.sleep(_SETTLE_SECONDS)
        # A cache tells nobody when it is back.
        while not await self._purged(name) and time.monotonic() < forgotten:  # noqa: ASYNC110
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _purged(self, name: str) -> bool:
        """Whether every cache has forgotten what the name showed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PURGE_SECONDS):
                return await self._caches.purge(PurgeOrder("", None, name=name))
        return False

    async def mark(self, name: str) -> "Change | None":
        """Mark a name as changing. Others may change it at the same time, each with a mark of its own."""
        while True:
            latest = time.monotonic() + _CHANGE_SECONDS
            rows = await self._metadata.fetch(_MARK_OF, name.encode())
            if not rows:
                return None
            earlier = int(rows[0][0])
            mark = max(earlier + 1, now() + int(_MARK_SECONDS * 1e6))
            # Unless it has another mark by now: what this change restores at its end has to be the latest one.
            if await self._metadata.change(_MARK, name.encode(), mark, earlier):
                return Change(mark, earlier, latest)


def now() -> int:
    """Microseconds since 1970, as in marks."""
    return time.time_ns() // 1000
