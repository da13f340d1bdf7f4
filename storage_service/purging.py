"""The outbox: every cache learns of a deletion, repeatedly until it has confirmed."""

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta

from service_kit.errors import ServiceError
from storage_service.caches import Caches
from storage_service.metadata.base import MetadataStore, PendingPurge
from storage_service.metrics import PURGE_CONFIRM, PURGE_OLDEST, PURGES_PENDING

_REPEATS = (0.6, 15.0)
"""Seconds from a round that every cache confirmed to the next. A response from before the deletion may reach a cache
after the purge: a fast render within half a second, since slower ones check again whether the image exists
(transformer.py), the slowest within the deadlines of render and transfer."""
_AT_ONCE = 0.5
"""Seconds that caches have to confirm before the client gets its 204."""
_GRACE = timedelta(seconds=_AT_ONCE)
_LEAST_PAUSE, _LONGEST_PAUSE, _HOPELESS_PAUSE = 0.2, 2.0, 60.0
_HOPELESS = 600.0
"""Seconds without a confirmation after which a cache is asked once a minute: it may never come back."""
_CLAIM = timedelta(seconds=10)
"""Longer than a round takes, so that no other process starts it meanwhile."""
_LONGEST_SLEEP = 10.0
"""Seconds. A node that shares the database may die between committing a deletion and announcing it; this is how long
another one takes to notice. Deletions of this process wake it at once."""
_BATCH = 100

logger = logging.getLogger(__name__)


class Purger:
    """Delivers the purges in the outbox. Any number of processes may do so."""

    def __init__(self, metadata: MetadataStore, caches: Caches) -> None:
        self._metadata = metadata
        self._caches = caches
        self._wake = asyncio.Event()

    async def announce(self, purge: PendingPurge) -> None:
        """The first round, for a deletion that was just committed. `run` repeats it for caches that do not confirm."""
        try:
            with contextlib.suppress(TimeoutError, ServiceError):
                async with asyncio.timeout(_AT_ONCE):
                    await self._deliver(purge)
        finally:
            self.wake()

    def wake(self) -> None:
        """Look into the outbox, where there may be a new deletion."""
        self._wake.set()

    async def observe(self) -> None:
        """Update the gauges. They keep their values while the database does not respond."""
        with contextlib.suppress(ServiceError):
            number, oldest = await self._metadata.pending_purges()
            PURGES_PENDING.set(number)
            PURGE_OLDEST.set((datetime.now(UTC) - oldest).total_seconds() if oldest else 0)

    async def run(self) -> None:
        """Deliver each purge when it is due, for ever."""
        while True:
            self._wake.clear()
            try:
                await self._deliver_due()
                sleep = await self._seconds_to_next()
            except ServiceError as error:
                logger.warning("purges have to wait: %s", error)
                sleep = _LEAST_PAUSE
            except Exception:
                logger.exception("purges have to wait")  # and go on: caches would keep serving deleted images
                sleep = _LONGEST_PAUSE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(sleep):
                    await self._wake.wait()

    async def _deliver_due(self) -> None:
        while True:
            now = datetime.now(UTC)
            due = await self._metadata.claim_purges(now, now + _CLAIM, _BATCH)
            await asyncio.gather(*map(self._deliver, due))
            if len(due) < _BATCH:
                return

    async def _seconds_to_next(self) -> float | None:
        """Seconds until the next purge is due; None to sleep until a deletion."""
        due_at = await self._metadata.next_purge()
        longest = None if self._metadata.exclusive else _LONGEST_SLEEP
        if due_at is None:
            return longest
        seconds = max(0.0, (due_at - datetime.now(UTC)).total_seconds())
        return seconds if longest is None else min(seconds, longest)

    async def _deliver(self, purge: PendingPurge) -> None:
        used = await self._metadata.used_contents([purge.sha256])
        confirmed = await self._caches.purge(purge.image_id, None if used else purge.sha256)
        now = datetime.now(UTC)
        if confirmed and not purge.round:
            PURGE_CONFIRM.observe((now - purge.deleted_at).total_seconds())
        if not confirmed:
            waited = (now - purge.deleted_at).total_seconds()
            pause = min(max(waited / 10, _LEAST_PAUSE), _LONGEST_PAUSE) if waited < _HOPELESS else _HOPELESS_PAUSE
            await self._metadata.postpone_purge(purge.image_id, purge.round, now + timedelta(seconds=pause))
        elif purge.round < len(_REPEATS) and self._caches.exist:
            due = now + timedelta(seconds=_REPEATS[purge.round])
            await self._metadata.postpone_purge(purge.image_id, purge.round + 1, due)
        else:
            await self._metadata.finish_purge(purge.image_id)


def first_round(at: datetime) -> datetime:
    """When the outbox takes over a deletion at `at` whose announcement was cut off."""
    return at + _GRACE
