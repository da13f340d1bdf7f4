"""Webhooks and their events in JSON."""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import ConfigDict, Field

from service_kit.http.json_bodies import JsonAnswer, JsonRequest, Moment, SpaceName, Whole
from storage_service import receivers
from storage_service.deliveries import Failure
from storage_service.events import EventType, now_ms
from storage_service.subscriptions import NewSecret

_LONGEST_OVERLAP = 30 * 86400
_TYPES: dict[str, Any] = {"items": {"enum": [*EventType]}}


class WebhookRequest(JsonRequest):
    """A webhook to make."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://shop.example.com/hooks", "events": ["image.created"]}]}
    )

    url: str = Field(max_length=2048)
    """Where events are posted."""
    events: list[str] = Field([], json_schema_extra=_TYPES)
    """The events that it is told about; empty: all."""
    space: SpaceName | None = None
    """The only space whose images it is told about; null: all."""


class WebhookUpdate(JsonRequest):
    """What to change of a webhook. What is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "examples": [{"enabled": True}]})

    url: str | None = Field(None, max_length=2048)
    events: list[str] | None = Field(None, json_schema_extra=_TYPES)
    enabled: bool | None = None
    """`true` sends events again to one that was disabled."""


class SecretRotation(JsonRequest):
    """How the secret of a webhook is replaced."""

    overlap_seconds: Whole = Field(86400, ge=0, le=_LONGEST_OVERLAP)
    """How long events are signed with both secrets."""


class Webhook(JsonAnswer):
    """A webhook, without its secret."""

    webhook_id: str
    url: str
    events: list[EventType]
    """The events that it is told about; empty: all."""
    space: str | None
    """The only space whose images it is told about; null: all."""
    created_at: Moment
    failing_since: Moment | None
    """When the first attempt failed after the last one that succeeded; null: it works."""
    disabled_at: Moment | None
    """Since when no events are sent; null: they are."""
    reason: str
    """Why it is disabled; empty: it is not."""
    secret_overlap_until: Moment | None
    """Until when events are signed with the previous secret too; null: they are not."""

    @classmethod
    def of(cls, webhook: receivers.Webhook) -> "Webhook":
        """A webhook as administrators see it."""
        return cls(**_facts(webhook))


class Webhooks(JsonAnswer):
    """All webhooks, oldest first."""

    webhooks: list[Webhook]


class WebhookWithSecret(Webhook):
    """A webhook with its secret, which is not shown again."""

    secret: str
    """With which the receiver verifies events."""

    @classmethod
    def of_new(cls, new: NewSecret) -> "WebhookWithSecret":
        """A webhook as its maker sees it."""
        return cls(**_facts(new.webhook), secret=new.secret)


class WebhookTest(JsonAnswer):
    """What the receiver said to a test event."""

    delivered: bool
    """Whether it has confirmed the event: with 2xx."""
    status: int | None
    """The HTTP status; null without an answer."""
    reason: str
    """Why it counts as a failure; empty if it does not."""
    answer: str
    """The first bytes of a refusal."""
    milliseconds: int

    @classmethod
    def of(cls, answer: receivers.Answer) -> "WebhookTest":
        """The result of a test."""
        return cls(
            delivered=not answer.reason,
            status=answer.status or None,
            reason=answer.reason,
            answer=answer.text,
            milliseconds=answer.milliseconds,
        )


class FailedEvent(JsonAnswer):
    """An event that the receiver has not confirmed within a day."""

    event_id: str
    type: str
    created_at: Moment
    failed_at: Moment
    attempts: int
    status: int | None
    """The last HTTP status; null without an answer."""
    reason: str
    answer: str
    """The first bytes of the last refusal."""
    event: dict[str, Any]
    """What was sent."""

    @classmethod
    def of(cls, failure: Failure) -> "FailedEvent":
        """A failure as administrators see it."""
        return cls(
            event_id=failure.event_id,
            type=failure.type,
            created_at=_moment(failure.added_at),
            failed_at=_moment(failure.failed_at),
            attempts=failure.attempts,
            status=failure.status or None,
            reason=failure.reason,
            answer=failure.answer,
            event=json.loads(failure.body),
        )


class FailedEvents(JsonAnswer):
    """Events that have failed, newest first."""

    failures: list[FailedEvent]
    waiting: int
    """How many events are not confirmed yet, and sent again by themselves; 10001: more than 10000."""
    waiting_reason: str
    """Why one of them was not delivered at its last attempt; empty: none was tried."""


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _facts(webhook: receivers.Webhook) -> dict[str, Any]:
    moments = {name: getattr(webhook, name) for name in ("created_at", "failing_since", "disabled_at")}
    overlap = webhook.previous_until if webhook.previous_until > now_ms() else None
    return {
        "webhook_id": webhook.webhook_id,
        "url": webhook.url,
        "events": webhook.events.split(),
        "space": webhook.space,
        **{name: None if value is None else _moment(value) for name, value in moments.items()},
        "reason": webhook.reason,
        "secret_overlap_until": None if overlap is None else _moment(overlap),
    }
