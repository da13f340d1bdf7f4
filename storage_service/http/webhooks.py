"""The HTTP API for webhooks, which requires a key with the scope `admin`."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from aiohttp import web
from pydantic import ConfigDict, Field

from service_kit.errors import BadRequest, NotFound
from service_kit.http import access, paths, queries
from service_kit.http.endpoints import Answer, Parameter, endpoint
from service_kit.http.json_bodies import JsonAnswer, JsonRequest, Moment, SpaceName, Whole, json_answer, read_json
from storage_service import receivers
from storage_service.deliveries import Failure
from storage_service.events import EventType, now_ms
from storage_service.http.handlers import SETTINGS
from storage_service.subscriptions import NewSecret, Subscriptions, WebhookChange

SUBSCRIPTIONS = web.AppKey("SUBSCRIPTIONS", Subscriptions)

_NO_STORE = {"Cache-Control": "no-store"}
_LONGEST_OVERLAP = 30 * 86400
_PAGE, _LONGEST_PAGE = 100, 1000
_PageSize = Annotated[int, Field(ge=1, le=_LONGEST_PAGE)]
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


def routes() -> list[web.RouteDef]:
    """The routes for webhooks."""
    return [
        web.get(paths.WEBHOOKS, list_webhooks),
        web.post(paths.WEBHOOKS, create),
        web.patch(paths.WEBHOOK, change),
        web.delete(paths.WEBHOOK, delete),
        web.post(paths.WEBHOOK_TEST, test),
        web.post(paths.WEBHOOK_ROTATION, rotate),
        web.get(paths.FAILURES, failures),
        web.post(paths.RETRY, retry),
    ]


@endpoint("list_webhooks", "List webhooks", {200: Answer("All webhooks, oldest first.", Webhooks)})
async def list_webhooks(request: web.Request) -> web.Response:
    """All webhooks."""
    queries.parameters(request)
    found = await request.app[SUBSCRIPTIONS].all()
    return json_answer(Webhooks(webhooks=[Webhook.of(webhook) for webhook in found]))


@endpoint(
    "create_webhook",
    "Make a webhook",
    {201: Answer("The webhook, whose secret is shown this once.", WebhookWithSecret)},
    text="Events are signed as Standard Webhooks specify, and sent at least once.",
    body=WebhookRequest,
)
async def create(request: web.Request) -> web.Response:
    """Make a webhook: 201 with its secret, which is not shown again."""
    queries.parameters(request)
    wanted = await read_json(request, request.app[SETTINGS], WebhookRequest)
    made = await request.app[SUBSCRIPTIONS].create(wanted.url, wanted.events, wanted.space, _by(request))
    return json_answer(WebhookWithSecret.of_new(made), 201)


@endpoint(
    "change_webhook",
    "Change, enable or disable a webhook",
    {200: Answer("The webhook after the change.", Webhook)},
    NotFound,
    body=WebhookUpdate,
)
async def change(request: web.Request) -> web.Response:
    """Change a webhook: 200 with it."""
    queries.parameters(request)
    wanted = await read_json(request, request.app[SETTINGS], WebhookUpdate)
    if not wanted.model_fields_set:
        raise BadRequest(f"the body changes nothing; use {', '.join(WebhookUpdate.model_fields)}")
    changed = WebhookChange(wanted.url, wanted.events, wanted.enabled)
    found = await request.app[SUBSCRIPTIONS].change(request.match_info["webhook_id"], changed, _by(request))
    return json_answer(Webhook.of(found))


@endpoint(
    "delete_webhook",
    "Delete a webhook",
    {204: Answer("The webhook is gone, with its failures and what was waiting for it.")},
    NotFound,
)
async def delete(request: web.Request) -> web.Response:
    """Delete a webhook: 204."""
    queries.parameters(request)
    await request.app[SUBSCRIPTIONS].delete(request.match_info["webhook_id"], _by(request))
    return web.Response(status=204, headers=_NO_STORE)


@endpoint(
    "test_webhook",
    "Send a test event",
    {200: Answer("What the receiver said.", WebhookTest)},
    NotFound,
    text="The event is sent at once, and once, even if the webhook is disabled.",
)
async def test(request: web.Request) -> web.Response:
    """Send a test event: 200 with what the receiver said."""
    queries.parameters(request)
    return json_answer(WebhookTest.of(await request.app[SUBSCRIPTIONS].test(request.match_info["webhook_id"])))


@endpoint(
    "rotate_webhook_secret",
    "Replace the secret of a webhook",
    {201: Answer("The webhook with its new secret, which is shown this once.", WebhookWithSecret)},
    NotFound,
    body=SecretRotation,
)
async def rotate(request: web.Request) -> web.Response:
    """Make a new secret: 201 with it."""
    queries.parameters(request)
    wanted = await read_json(request, request.app[SETTINGS], SecretRotation)
    overlap = timedelta(seconds=wanted.overlap_seconds)
    made = await request.app[SUBSCRIPTIONS].rotate(request.match_info["webhook_id"], overlap, _by(request))
    return json_answer(WebhookWithSecret.of_new(made), 201)


@endpoint(
    "list_webhook_failures",
    "List events that have failed",
    {200: Answer("Events that were not confirmed within a day, newest first.", FailedEvents)},
    NotFound,
    query=(Parameter("limit", f"How many to list; by default {_PAGE}.", _PageSize),),
)
async def failures(request: web.Request) -> web.Response:
    """Events that have failed."""
    given = queries.parameters(request, ["limit"])
    limit = queries.whole_number(given, "limit", _PAGE, _LONGEST_PAGE)
    found = await request.app[SUBSCRIPTIONS].failures(request.match_info["webhook_id"], limit)
    return json_answer(FailedEvents(failures=[FailedEvent.of(failure) for failure in found]))


@endpoint(
    "retry_webhook_failure",
    "Send an event again that has failed",
    {202: Answer("The event is sent again, for another day if necessary.")},
    NotFound,
)
async def retry(request: web.Request) -> web.Response:
    """Send an event again: 202."""
    queries.parameters(request)
    match = request.match_info
    await request.app[SUBSCRIPTIONS].retry(match["webhook_id"], match["event_id"], _by(request))
    return web.Response(status=202, headers=_NO_STORE)


def _by(request: web.Request) -> str:
    return access.identity_of(request).key_id


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
