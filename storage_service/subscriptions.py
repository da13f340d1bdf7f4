"""Webhooks: making, changing, testing and deleting them."""

import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from service_kit.access import check_space
from service_kit.errors import BadRequest, NotFound, ServiceError
from storage_service.audit import COMMAND_LINE, Action, AuditTrail
from storage_service.deliveries import Deliveries, Failure, disabling, webhook_of
from storage_service.emptying import fail_waiting, forget
from storage_service.events import TEST, Events, EventType, event_body, new_event_id, now_ms
from storage_service.metadata.base import MetadataStore
from storage_service.receivers import Answer, Receivers, Webhook

_MOST = 100
"""Webhooks: each of them may get a row for every upload."""
_COLUMNS = tuple(Webhook.model_fields)
_INSERT = f"""
    INSERT INTO webhooks ({", ".join(_COLUMNS)}) SELECT {", ".join(f"${n + 1}" for n in range(len(_COLUMNS)))}
    WHERE (SELECT count(*) FROM webhooks) < {_MOST}
"""  # noqa: S608
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM webhooks"  # noqa: S608
_CHANGE = "UPDATE webhooks SET url = $2, events = $3 WHERE webhook_id = $1"
_ENABLE = """
    UPDATE webhooks SET disabled_at = NULL, reason = '', failures = 0, failing_since = NULL, paused_until = 0
    WHERE webhook_id = $1
"""
_BY_HAND = "it was disabled by hand"
_ROTATE = "UPDATE webhooks SET version = version + 1, previous_until = $3 WHERE webhook_id = $1 AND version = $2"


@dataclass(frozen=True, slots=True)
class WebhookChange:
    """What is changed of a webhook; None: nothing."""

    url: str | None = None
    events: Collection[str] | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A webhook with its secret, which is shown now, and never again."""

    webhook: Webhook
    secret: str


class Subscriptions:
    """All webhooks. `by` is the ID of the key that asks."""

    def __init__(
        self,
        metadata: MetadataStore,
        audit: AuditTrail,
        events: Events,
        deliveries: Deliveries,
        receivers: Receivers,
    ) -> None:
        self._metadata = metadata
        self._audit = audit
        self._events = events
        self._deliveries = deliveries
        self._receivers = receivers

    async def create(
        self, url: str, events: Collection[str], space: str | None = None, by: str = COMMAND_LINE
    ) -> NewSecret:
        """Make a webhook. Raises BadRequest if something is not valid, or there are too many."""
        if space is not None:
            check_space(space)
        webhook = Webhook(
            webhook_id=secrets.token_hex(6),
            url=self._receivers.check(url),
            events=_checked(events),
            space=space,
            created_at=now_ms(),
        )
        entry = self._audit.entry(by, Action.WEBHOOK_CREATE, webhook.webhook_id, space)
        values = (getattr(webhook, column) for column in _COLUMNS)
        if not await self._metadata.change_together((_INSERT, *values), entry=entry):
            raise BadRequest(f"there are {_MOST} webhooks already; delete one first")
        self._events.look_again()
        return NewSecret(webhook, self._receivers.secret(webhook))

    async def all(self) -> list[Webhook]:
        """All webhooks, oldest first."""
        return [webhook_of(row) for row in await self._metadata.fetch(f"{_SELECT} ORDER BY created_at, webhook_id")]

    async def find(self, webhook_id: str) -> Webhook:
        """A webhook. Raises NotFound."""
        for row in await self._metadata.fetch(f"{_SELECT} WHERE webhook_id = $1", webhook_id):
            return webhook_of(row)
        raise NotFound(f"there is no webhook {webhook_id[:64]!r}; list the webhooks to see their IDs")

    async def change(self, webhook_id: str, change: WebhookChange, by: str = COMMAND_LINE) -> Webhook:
        """Change a webhook. Raises NotFound, and BadRequest if something is not valid."""
        before = await self.find(webhook_id)
        url = before.url if change.url is None else self._receivers.check(change.url)
        events = before.events if change.events is None else _checked(change.events)
        statements: list[tuple[object, ...]] = [(_CHANGE, webhook_id, url, events)]
        if change.enabled:
            statements.append((_ENABLE, webhook_id))
        elif change.enabled is False and not before.disabled_at:
            statements.append(disabling(webhook_id, _BY_HAND))
        entry = self._audit.entry(by, Action.WEBHOOK_CHANGE, webhook_id, before.space)
        await self._metadata.change_together(*statements, entry=entry)
        if change.enabled is False and not before.disabled_at:
            with suppress(ServiceError):  # it is disabled, and the sweep goes on
                await fail_waiting(self._metadata, webhook_id, _BY_HAND)
        self._look_again()
        return await self.find(webhook_id)

    async def rotate(self, webhook_id: str, overlap: timedelta, by: str = COMMAND_LINE) -> NewSecret:
        """Make a new secret. For `overlap`, events are signed with both. Raises NotFound."""
        while True:
            before = await self.find(webhook_id)
            until = now_ms() + int(overlap.total_seconds() * 1000)
            entry = self._audit.entry(by, Action.WEBHOOK_ROTATE, webhook_id, before.space)
            if await self._metadata.change_together((_ROTATE, webhook_id, before.version, until), entry=entry):
                webhook = await self.find(webhook_id)
                return NewSecret(webhook, self._receivers.secret(webhook))

    async def delete(self, webhook_id: str, by: str = COMMAND_LINE) -> None:
        """Delete a webhook, with what waits for it, and its failures. Raises NotFound."""
        webhook = await self.find(webhook_id)
        entry = self._audit.entry(by, Action.WEBHOOK_DELETE, webhook_id, webhook.space)
        await self._metadata.change_together(("DELETE FROM webhooks WHERE webhook_id = $1", webhook_id), entry=entry)
        with suppress(ServiceError):  # it is deleted, and the sweep goes on
            await forget(self._metadata, webhook_id)

    async def test(self, webhook_id: str) -> Answer:
        """Send a test event now, even if the webhook is disabled. Raises NotFound."""
        webhook = await self.find(webhook_id)
        body = event_body(TEST, now_ms(), {"webhook_id": webhook_id})
        return await self._receivers.send(webhook, new_event_id(), body)

    async def failures(self, webhook_id: str, limit: int) -> list[Failure]:
        """At most `limit` events that have failed, newest first. Raises NotFound."""
        await self.find(webhook_id)
        return await self._deliveries.failures(webhook_id, limit)

    async def retry(self, webhook_id: str, event_id: str, by: str = COMMAND_LINE) -> None:
        """Send an event again that has failed. Raises NotFound, and BadRequest if the webhook is disabled."""
        webhook = await self._enabled(webhook_id)
        await self._deliveries.retry(webhook_id, event_id)
        await self._audit.add(by, Action.WEBHOOK_RETRY, webhook_id, webhook.space)
        self._events.added()

    async def waiting(self, webhook_id: str) -> tuple[int, str]:
        """How many events wait for a receiver, and why one of them was not delivered yet; empty: none was tried."""
        return await self._deliveries.waiting(webhook_id)

    async def hurry(self, webhook_id: str, by: str = COMMAND_LINE) -> None:
        """Send what waits for a receiver now, and not when it is due. Raises as `retry` does."""
        webhook = await self._enabled(webhook_id)
        await self._deliveries.hurry(webhook_id)
        await self._audit.add(by, Action.WEBHOOK_RETRY, webhook_id, webhook.space)
        self._events.added()

    async def _enabled(self, webhook_id: str) -> Webhook:
        webhook = await self.find(webhook_id)
        if webhook.disabled_at:
            raise BadRequest(f"the webhook {webhook_id} is disabled; enable it first")
        return webhook

    def _look_again(self) -> None:
        self._events.look_again()
        self._events.added()


def _checked(events: Collection[str]) -> str:
    """The types of events in their order; empty for all. Raises BadRequest if one is unknown."""
    for kind in events:
        if kind not in {*EventType}:
            raise BadRequest(f"{kind[:64]!r} is not an event; use {', '.join(EventType)}")
    return " ".join(kind for kind in EventType if kind in events)
