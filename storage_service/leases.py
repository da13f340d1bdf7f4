"""Leases: what only one process of all nodes should do at a time."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from service_kit.errors import ServiceError
from storage_service.metadata.base import MetadataStore

_TAKE = """
    INSERT INTO leases AS held (name, holder, until) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE held.holder = excluded.holder OR held.until < $4
"""
_RELEASE = "DELETE FROM leases WHERE name = $1 AND holder = $2"
_RENEWALS = 4
"""How often a lease is renewed in its time."""

logger = logging.getLogger(__name__)


class Lease:
    """The right to do something, for `seconds` after each `take`. A process that is gone loses it then."""

    def __init__(self, metadata: MetadataStore, name: str, seconds: int) -> None:
        self._metadata = metadata
        self._name = name
        self._seconds = seconds
        self._holder = uuid4().hex

    async def take(self) -> bool:
        """Take or renew the lease. Returns False if another process has it."""
        now = int(time.time())
        return await self._metadata.change(_TAKE, self._name, self._holder, now + self._seconds, now) > 0

    @asynccontextmanager
    async def renewed(self) -> AsyncIterator[None]:
        """A context for work that may take longer than the lease, which is renewed meanwhile."""
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / _RENEWALS)
            try:
                await self.take()
            except ServiceError as error:
                logger.warning("the lease %s was not renewed: %s", self._name, error)
            except Exception:
                logger.exception("the lease %s was not renewed", self._name)  # go on: the next time may succeed

    async def release(self) -> None:
        """Give the lease back, if this process has it, so that another one need not wait."""
        await self._metadata.change(_RELEASE, self._name, self._holder)
