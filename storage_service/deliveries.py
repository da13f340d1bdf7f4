"""The outbox of events in the database: what is due to which receiver, how attempts ended, and what has failed."""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from service_kit.errors import NotFound
from storage_service.emptying import fail_waiting, sweep
from storage_service.events import GIVE_UP_MS, now_ms
from storage_service.metadata.base import MetadataStore, Statement
from storage_service.metrics import WEBHOOK_DELIVERIES, WEBHOOK_FAILED, WEBHOOK_OLDEST, WEBHOOKS_DISABLED
from storage_service.receivers import SECONDS, Answer, Webhook

_CLAIM_MS = int(3 * SECONDS * 1000)
"""After that, a claimed event is due again: whoever had claimed it is gone. An attempt takes 12 s at most."""
_FIRST_PAUSE_MS, _LONGEST_PAUSE_MS, _GROWTH = 2000, 3 * 3_600_000, 3
"""Between attempts for an event: 2 s, 6 s, … 3 h."""
_LONGEST_REST_MS = 60_000
"""For which nothing is sent to a receiver that fails. One event is tried after that: the others keep their attempts."""
_HOPELESS_MS = 3 * 86_400_000
"""A webhook is disabled when nothing has been confirmed for so long."""
_WEBHOOKS = f"SELECT {', '.join(Webhook.model_fields)} FROM webhooks"  # noqa: S608
_WAITING = "webhook_id = $1 AND failed_at IS NULL"
_NEXT = f"SELECT event_id, type, body, due_at, give_up_at, attempts FROM deliveries WHERE {_WAITING} ORDER BY due_at LIMIT $2"  # noqa: S608, E501
_THIS = "webhook_id = $1 AND event_id = $2 AND due_at = $3 AND failed_at IS NULL"
_CLAIM = f"UPDATE deliveries SET due_at = $4, attempts = attempts + 1 WHERE {_THIS}"  # noqa: S608
_CONFIRMED = f"DELETE FROM deliveries WHERE {_THIS}"  # noqa: S608
_LATER = f"UPDATE deliveries SET due_at = $4, status = $5, reason = $6, answer = $7 WHERE {_THIS}"  # noqa: S608
_FAILED = f"UPDATE deliveries SET failed_at = $4, status = $5, reason = $6, answer = $7 WHERE {_THIS}"  # noqa: S608
_WORKS = "UPDATE webhooks SET failures = 0, failing_since = NULL, paused_until = 0 WHERE webhook_id = $1"
_RESTS = """
    UPDATE webhooks SET failures = failures + 1, failing_since = coalesce(failing_since, $2), paused_until = $3
    WHERE webhook_id = $1
"""
_DISABLE = "UPDATE webhooks SET disabled_at = $2, reason = $3 WHERE webhook_id = $1 AND disabled_at IS NULL"
_RETRY = """
    UPDATE deliveries SET failed_at = NULL, attempts = 0, due_at = $3, give_up_at = $4
    WHERE webhook_id = $1 AND event_id = $2 AND failed_at IS NOT NULL
"""
_FAILURES = """
    SELECT event_id, type, body, added_at, failed_at, attempts, status, reason, answer FROM deliveries
    WHERE webhook_id = $1 AND failed_at IS NOT NULL ORDER BY failed_at DESC, event_id LIMIT $2
"""
_HURRY = f"UPDATE deliveries SET due_at = $2 WHERE {_WAITING} AND attempts > 0 AND due_at > $3"  # noqa: S608
_GO_ON = "UPDATE webhooks SET paused_until = 0 WHERE webhook_id = $1"
_HOW_MANY = f"SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE {_WAITING} LIMIT 10001) AS waiting"  # noqa: S608
_LAST = f"SELECT reason FROM deliveries WHERE {_WAITING} AND reason <> '' ORDER BY due_at DESC LIMIT 1"  # noqa: S608
_COUNTS = """
    SELECT (SELECT min(added_at) FROM deliveries WHERE failed_at IS NULL),
        (SELECT count(*) FROM deliveries WHERE failed_at IS NOT NULL),
        (SELECT count(*) FROM webhooks WHERE disabled_at IS NOT NULL)
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that was claimed for a receiver."""

    event_id: str
    body: str
    attempts: int
    """With this one."""
    claim: int
    """Tells this claim from later ones."""
    give_up_at: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that a receiver has not confirmed within a day. Times are milliseconds since 1970."""

    event_id: str
    type: str
    body: str
    added_at: int
    failed_at: int
    attempts: int
    status: int
    reason: str
    answer: str


class Deliveries:
    """The outbox. Any number of processes may send what is in it: each event is claimed by one."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._metadata = metadata

    async def webhooks(self) -> list[Webhook]:
        """Those that are not disabled."""
        rows = await self._metadata.fetch(f"{_WEBHOOKS} WHERE disabled_at IS NULL ORDER BY created_at, webhook_id")
        return [webhook_of(row) for row in rows]

    async def claim(self, webhook: Webhook, most: int) -> tuple[list[Delivery], int | None]:
        """At most `most` events that are due to a receiver, and when the next one is, unless that is known later."""
        claimed: list[Delivery] = []
        now = now_ms()
        for event_id, _, body, due_at, give_up_at, attempts in await self._metadata.fetch(
            _NEXT, webhook.webhook_id, most + 1
        ):
            if due_at > now:
                return claimed, due_at
            if len(claimed) == most:
                break
            until = now + _CLAIM_MS
            if await self._metadata.change(_CLAIM, webhook.webhook_id, event_id, due_at, until):
                claimed.append(Delivery(event_id, body, attempts + 1, until, give_up_at))
        return claimed, None

    async def settle(self, webhook: Webhook, delivery: Delivery, answer: Answer) -> None:
        """Note what came back. No effect if the event has been claimed again since."""
        this = (webhook.webhook_id, delivery.event_id, delivery.claim)
        now = now_ms()
        if not answer.reason:
            WEBHOOK_DELIVERIES.labels("delivered").inc()
            works = [(_WORKS, webhook.webhook_id)] if webhook.failures else []
            await self._metadata.change_together((_CONFIRMED, *this), *works)
            return
        rest = min(1000 * 2 ** min(webhook.failures, 10), _LONGEST_REST_MS)
        rests: Statement = (_RESTS, webhook.webhook_id, now, now + _jittered(rest))
        noted = (answer.status, answer.reason, answer.text)
        due_at = now + _pause(delivery.attempts)
        if due_at >= delivery.give_up_at:
            WEBHOOK_DELIVERIES.labels("failed").inc()
            await self._metadata.change_together((_FAILED, *this, now, *noted), rests)
        else:
            WEBHOOK_DELIVERIES.labels("retry").inc()
            await self._metadata.change_together((_LATER, *this, due_at, *noted), rests)
        if answer.is_gone:
            await self.disable(webhook.webhook_id, "the receiver answered 410 Gone")
        elif webhook.failing_since and now - webhook.failing_since >= _HOPELESS_MS:
            await self.disable(webhook.webhook_id, f"nothing was confirmed for three days; at last, {answer.reason}")

    async def disable(self, webhook_id: str, reason: str) -> None:
        """Disable a webhook. What waits for it fails."""
        logger.warning("webhook %s is disabled: %s", webhook_id, reason)
        await self._metadata.change_together(disabling(webhook_id, reason))
        await fail_waiting(self._metadata, webhook_id, reason)

    async def failures(self, webhook_id: str, limit: int) -> list[Failure]:
        """At most `limit` events that have failed for a receiver, newest first."""
        return [Failure(*row) for row in await self._metadata.fetch(_FAILURES, webhook_id, limit)]

    async def retry(self, webhook_id: str, event_id: str) -> None:
        """Send an event that has failed again, for another day. Raises NotFound if there is none."""
        now = now_ms()
        if not await self._metadata.change(_RETRY, webhook_id, event_id, now, now + GIVE_UP_MS):
            raise NotFound(
                f"no event {event_id[:64]!r} has failed for this webhook; list its failures to see their IDs"
            )

    async def waiting(self, webhook_id: str) -> tuple[int, str]:
        """How many events wait for a receiver, and why one of them was not delivered yet; empty: none was tried.

        Counts no further than 10,001.
        """
        ((number,),) = await self._metadata.fetch(_HOW_MANY, webhook_id)
        reasons = [reason for (reason,) in await self._metadata.fetch(_LAST, webhook_id)]
        return number, reasons[0] if reasons else ""

    async def hurry(self, webhook_id: str) -> None:
        """Make what waits for a receiver due now. What is due soon stays as it is: it may be on its way."""
        now = now_ms()
        await self._metadata.change(_HURRY, webhook_id, now, now + _CLAIM_MS)
        await self._metadata.change(_GO_ON, webhook_id)

    async def sweep(self) -> None:
        """Keep the outbox small."""
        await sweep(self._metadata)

    async def observe(self) -> None:
        """Update the gauges."""
        ((oldest, failed, disabled),) = await self._metadata.fetch(_COUNTS)
        WEBHOOK_OLDEST.set(max(0.0, (now_ms() - oldest) / 1000) if oldest else 0)
        WEBHOOK_FAILED.set(failed)
        WEBHOOKS_DISABLED.set(disabled)


def disabling(webhook_id: str, reason: str) -> Statement:
    """The statement that disables a webhook, unless it is. What waits for it may be too much for one transaction."""
    return _DISABLE, webhook_id, now_ms(), reason


def webhook_of(row: Sequence[object]) -> Webhook:
    """A webhook from its columns."""
    return Webhook.model_validate(dict(zip(Webhook.model_fields, row, strict=True)))


def _pause(attempts: int) -> int:
    """Milliseconds until the next attempt after so many."""
    return _jittered(min(_FIRST_PAUSE_MS * _GROWTH ** min(attempts - 1, 20), _LONGEST_PAUSE_MS))


def _jittered(milliseconds: int) -> int:
    """A fifth more or less, so that what failed together does not come again together."""
    return int(milliseconds * random.uniform(0.8, 1.2))  # noqa: S311
