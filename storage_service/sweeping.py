"""Sweeping: removes what crashes left behind, at times that outlast restarts, on one node at a time."""

import asyncio
import logging
import random
from datetime import UTC, datetime, timedelta

from service_kit.errors import ServiceError
from service_kit.spool import Spool
from service_kit.threads import in_thread
from storage_service.library import Library
from storage_service.metadata.base import MetadataStore

_LOOKS = 10
"""How often each process looks in an interval whether a sweep is due."""
_LONGEST_PAUSE = 600.0
"""Seconds between two looks, and after a sweep that failed."""
_LEASE = timedelta(hours=1)
"""For a sweep to finish. Then another process starts one: the node may have been stopped. Two at once do no harm."""

logger = logging.getLogger(__name__)


class Sweeper:
    """Starts a sweep every `seconds`, also if no process runs that long. The first is due at once."""

    def __init__(self, metadata: MetadataStore, library: Library, spool: Spool, seconds: float) -> None:
        self._metadata = metadata
        self._library = library
        self._spool = spool
        self._interval = timedelta(seconds=seconds)
        self._pause = min(seconds / _LOOKS, _LONGEST_PAUSE)

    async def run(self) -> None:
        """Look now and then whether a sweep is due, for ever. Nodes that start together do not look together."""
        while True:
            await asyncio.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311
            try:
                await in_thread(self._spool.sweep)  # of this node
                await self._sweep_if_due()
            except (ServiceError, OSError) as error:  # the next sweep may succeed
                logger.warning("the sweep failed: %s", error)

    async def _sweep_if_due(self) -> None:
        now = datetime.now(UTC)
        if not await self._metadata.claim_sweep(now, now + min(_LEASE, self._interval), now + self._interval):
            return
        again = now + min(timedelta(seconds=_LONGEST_PAUSE), self._interval)
        try:
            removed = await self._library.sweep(self._interval)
            again = now + self._interval
            logger.info("the sweep removed %d blobs that no image uses", removed)
        finally:
            await self._metadata.schedule_sweep(again)
