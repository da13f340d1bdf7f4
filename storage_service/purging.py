"""The outbox: sends purges for each deletion, and each damaged image, until every cache has confirmed."""

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta

from service_kit.errors import ServiceError
from storage_service.caches import Caches, PurgeOrder
from storage_service.metadata.base import MetadataStore, PendingPurge, Statement
from storage_service.metrics import PURGE_CONFIRM, PURGE_OLDEST, PURGES_PENDING
from storage_service.purge_hook import PurgeHook

_REPEATS = (0.6, 15.0)
"""Seconds from a confirmed round to the next. The repeats remove responses from before the deletion that reach a cache
after the purge. Fast renders do so within half a second, since slower ones check again whether the image exists
(transformer.py). The slowest responses do so within the deadlines of render and transfer."""
_HOOK = len(_REPEATS) + 1
"""The round of the purge hook. It comes last, since a CDN may fill itself from a cache that was purged too early."""
_AT_ONCE = 0.5
"""How many seconds caches have to confirm before the client gets its 204."""
_GRACE = timedelta(seconds=_AT_ONCE)
_LEAST_PAUSE, _LONGEST_PAUSE, _HOPELESS_PAUSE = 0.2, 2.0, 60.0
_HOPELESS = 600.0
"""After so many seconds without confirmation, a purge is sent once a minute: the cache may never come back."""
_CLAIM = timedelta(seconds=10)
"""Longer than a round takes, so that no other process starts the same one meanwhile."""
_LONGEST_SLEEP = 10.0
"""Seconds until a node notices a deletion by another node that died before announcing it, or damage that a scrub found.
Its own deletions wake it at once."""
_BATCH = 100
_ANNOUNCE = """
    INSERT INTO purges (image_id, sha256, deleted_at, round, due_at, damaged)
    SELECT image_id, sha256, $2, 0, $3, TRUE FROM images WHERE image_id = $1
    ON CONFLICT (image_id) DO UPDATE SET
        deleted_at = excluded.deleted_at, round = 0, due_at = excluded.due_at, damaged = TRUE
"""
_DATABASE_PAUSE = 0.5
"""Seconds until the next attempt while the database does not respond."""

logger = logging.getLogger(__name__)


class Purger:
    """Sends the purges in the outbox. Any number of processes may do so at once."""

    def __init__(self, metadata: MetadataStore, caches: Caches, hook: PurgeHook | None = None) -> None:
        self._metadata = metadata
        self._caches = caches
        self._hook = hook
        self._calls: dict[str, asyncio.Task[None]] = {}
        """The calls of the hook in progress, by image ID."""
        self._wake = asyncio.Event()

    async def close(self) -> None:
        """Cancel calls of the hook. Their rounds stay in the outbox."""
        for call in self._calls.values():
            call.cancel()
        await asyncio.gather(*self._calls.values(), return_exceptions=True)

    async def announce(self, purge: PendingPurge) -> None:
        """Send the first round for a deletion that was just committed. `run` repeats it if a cache does not confirm."""
        try:
            with contextlib.suppress(TimeoutError, ServiceError):
                async with asyncio.timeout(_AT_ONCE):
                    await self._deliver(purge)
        finally:
            self._wake.set()

    def look_soon(self) -> None:
        """Look into the outbox when the first round of a deletion is due that may just have been committed."""
        asyncio.get_running_loop().call_later(_AT_ONCE, self._wake.set)

    async def observe(self) -> None:
        """Update the gauges. They keep their values while the database does not respond."""
        with contextlib.suppress(ServiceError):
            number, oldest = await self._metadata.pending_purges()
            PURGES_PENDING.set(number)
            PURGE_OLDEST.set((datetime.now(UTC) - oldest).total_seconds() if oldest else 0)

    async def run(self) -> None:
        """Send each purge when it is due, for ever."""
        while True:
            self._wake.clear()
            try:
                await self._deliver_due()
                sleep = await self._seconds_to_next()
            except ServiceError as error:
                logger.warning("purges are delayed: %s", error)
                sleep = _DATABASE_PAUSE
            except Exception:
                logger.exception("purges are delayed")  # go on: otherwise caches would keep serving deleted images
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
        # Without caches and a hook, purges have no effect.
        reach = self._caches.exist or self._hook is not None
        longest = None if self._metadata.exclusive and not reach else _LONGEST_SLEEP
        if due_at is None:
            return longest
        seconds = max(0.0, (due_at - datetime.now(UTC)).total_seconds())
        return seconds if longest is None else min(seconds, longest)

    async def _deliver(self, purge: PendingPurge) -> None:
        if purge.round == _HOOK and self._hook:
            self._call_hook(self._hook, purge)
            return
        confirmed = await self._purge_caches(purge)
        now = datetime.now(UTC)
        if confirmed and not purge.round and not purge.damaged:
            PURGE_CONFIRM.observe((now - purge.deleted_at).total_seconds())
        if not confirmed:
            await self._repeat(purge)
        elif purge.round < len(_REPEATS) and self._caches.exist:
            due = now + timedelta(seconds=_REPEATS[purge.round])
            await self._metadata.postpone_purge(purge, purge.round + 1, due)
            if not purge.round and self._hook:
                self._call_hook(self._hook, purge)
        elif purge.round < _HOOK and self._hook:
            await self._metadata.postpone_purge(purge, _HOOK, now)
        else:
            await self._metadata.finish_purge(purge)

    async def _repeat(self, purge: PendingPurge) -> None:
        now = datetime.now(UTC)
        waited = (now - purge.deleted_at).total_seconds()
        pause = min(max(waited / 10, _LEAST_PAUSE), _LONGEST_PAUSE) if waited < _HOPELESS else _HOPELESS_PAUSE
        await self._metadata.postpone_purge(purge, purge.round, now + timedelta(seconds=pause))

    def _call_hook(self, hook: PurgeHook, purge: PendingPurge) -> None:
        """Tell the CDN, without waiting: it may take seconds, in which caches need their purges."""
        image_id = purge.image_id
        if image_id not in self._calls:  # its claim has expired while it waits for other calls
            self._calls[image_id] = asyncio.create_task(self._told(hook, purge))
            self._calls[image_id].add_done_callback(lambda _: self._calls.pop(image_id))

    async def _told(self, hook: PurgeHook, purge: PendingPurge) -> None:
        try:
            confirmed = await hook.purge(purge.image_id)
            if purge.round == _HOOK:  # otherwise it is the first try, which this round will repeat
                await (self._metadata.finish_purge(purge) if confirmed else self._repeat(purge))
        except ServiceError as error:  # the round is due again when its claim expires
            logger.warning("the purge hook for image %s is delayed: %s", purge.image_id, error)
        finally:
            self._wake.set()

    async def _purge_caches(self, purge: PendingPurge) -> bool:
        drop = purge.damaged or not await self._metadata.used_contents([purge.sha256])
        order = PurgeOrder(purge.image_id, purge.sha256 if drop else None, purge.damaged)
        return await self._caches.purge(order)


def announcement(image_id: str, at: datetime) -> Statement:
    """The statement that adds an image to the outbox whose pictures, or whose viewers, changed at `at`."""
    return (_ANNOUNCE, image_id, at, first_round(at))


def first_round(at: datetime) -> datetime:
    """When the first round of a deletion at `at` is due in the outbox, in case its announcement was cut off."""
    return at + _GRACE
