"""Keeps the outbox of events small: what waits for disabled webhooks fails, and old failures are removed.

In batches, since a statement about all rows may take longer than the database may, and would then never succeed.
"""

import logging
from collections.abc import Callable

from service_kit.errors import ServiceError
from storage_service.events import now_ms
from storage_service.metadata.base import MetadataStore, Statement

_BATCH = 1000
"""Rows that one statement changes at most."""
_MOST_WAITING = 100_000
"""Events that may wait for one receiver. Newer ones fail: the database must not fill."""
_MOST_FAILED, _KEPT_MS = 10_000, 30 * 86_400_000
"""Failures that are kept for each webhook, and how long. Those that failed in the same batch are kept together."""
_WAITING = "webhook_id = $1 AND failed_at IS NULL"
_FAIL_WAITING = f"""
    UPDATE deliveries SET failed_at = $2, reason = CASE reason WHEN '' THEN $3 ELSE reason END
    WHERE {_WAITING} AND event_id IN (SELECT event_id FROM deliveries WHERE {_WAITING} ORDER BY due_at LIMIT $4)
        AND EXISTS (SELECT 1 FROM webhooks WHERE webhook_id = $1 AND disabled_at IS NOT NULL)
"""  # noqa: S608
"""Also events of transactions that began before the webhook was disabled. None if it was enabled meanwhile."""
_LAST_KEPT = f"SELECT due_at FROM deliveries WHERE {_WAITING} ORDER BY due_at LIMIT 1 OFFSET $2"  # noqa: S608
_FAIL_NEWER = f"""
    UPDATE deliveries SET failed_at = $2, reason = $3 WHERE {_WAITING} AND event_id IN (
        SELECT event_id FROM deliveries WHERE {_WAITING} AND due_at > $4 AND attempts = 0 ORDER BY due_at LIMIT $5
    )
"""  # noqa: S608
"""Not those in progress, or that are tried again: they are due later, but are not newer."""
_LAST_KEPT_FAILURE = """
    SELECT failed_at FROM deliveries WHERE webhook_id = $1 AND failed_at IS NOT NULL
    ORDER BY failed_at DESC LIMIT 1 OFFSET $2
"""
_FORGET_FAILED = """
    DELETE FROM deliveries WHERE webhook_id = $1 AND event_id IN (
        SELECT event_id FROM deliveries WHERE webhook_id = $1 AND failed_at < $2 ORDER BY failed_at LIMIT $3
    )
"""
_FORGET = """
    DELETE FROM deliveries WHERE webhook_id = $1 AND event_id IN (
        SELECT event_id FROM deliveries WHERE webhook_id = $1 ORDER BY event_id LIMIT $2
    )
"""
_TOLD = """
    WITH RECURSIVE told (id) AS (
        SELECT min(webhook_id) FROM deliveries
        UNION ALL SELECT (SELECT min(webhook_id) FROM deliveries WHERE webhook_id > id) FROM told WHERE id IS NOT NULL
    ) SELECT id FROM told WHERE id IS NOT NULL
"""
"""The IDs of webhooks for which there are events. Each takes one look into an index, however many events there are."""
_STATES = "SELECT webhook_id, disabled_at, reason FROM webhooks"

logger = logging.getLogger(__name__)


async def fail_waiting(metadata: MetadataStore, webhook_id: str, reason: str) -> None:
    """Fail some events that wait for a disabled webhook. The next sweep fails the others."""
    await metadata.change(_FAIL_WAITING, webhook_id, now_ms(), reason, _BATCH)


async def forget(metadata: MetadataStore, webhook_id: str) -> None:
    """Remove some events of a deleted webhook. The next sweep removes the others."""
    await metadata.change(_FORGET, webhook_id, _BATCH)


async def sweep(metadata: MetadataStore) -> None:
    """Fail what waits for disabled webhooks or is too much, and remove failures that are too old or too many.

    Whatever fails is left for the next sweep, and stops nothing else.
    """
    told = await metadata.fetch(_TOLD)
    states = {row[0]: row[1:] for row in await metadata.fetch(_STATES)}
    for (webhook_id,) in told:
        if webhook_id in states:
            await _Sweep(metadata, webhook_id).empty(*states[webhook_id])
        else:
            await _Sweep(metadata, webhook_id).forget()


class _Sweep:
    """Of the events of one webhook."""

    def __init__(self, metadata: MetadataStore, webhook_id: str) -> None:
        self._metadata = metadata
        self._webhook_id = webhook_id

    async def forget(self) -> None:
        await self._in_batches(lambda: (_FORGET, self._webhook_id))

    async def empty(self, disabled_at: int | None, reason: str) -> None:
        if disabled_at:
            await self._in_batches(lambda: (_FAIL_WAITING, self._webhook_id, now_ms(), reason))
        too_many = f"more than {_MOST_WAITING} events waited for the receiver"
        last = await self._last(_LAST_KEPT, _MOST_WAITING)
        if last is not None:
            await self._in_batches(lambda: (_FAIL_NEWER, self._webhook_id, now_ms(), too_many, last))
        oldest = max(await self._last(_LAST_KEPT_FAILURE, _MOST_FAILED) or 0, now_ms() - _KEPT_MS)
        await self._in_batches(lambda: (_FORGET_FAILED, self._webhook_id, oldest))

    async def _last(self, query: str, most: int) -> int | None:
        """A time of the last event of so many that may stay; None if there are fewer."""
        try:
            return next(
                (int(moment) for (moment,) in await self._metadata.fetch(query, self._webhook_id, most - 1)), None
            )
        except ServiceError as error:
            self._left(error)
            return None

    async def _in_batches(self, statement: Callable[[], Statement]) -> None:
        """Run a statement until it changes nothing. The size of a batch is added to its values."""
        try:
            while True:
                text, *values = statement()
                if not await self._metadata.change(str(text), *values, _BATCH):
                    return
        except ServiceError as error:
            self._left(error)

    def _left(self, error: ServiceError) -> None:
        logger.warning("events of webhook %s are swept later: %s", self._webhook_id, error)
