"""The HTTP API for webhooks, which requires a key with the scope `admin`."""

from datetime import timedelta
from typing import Annotated

from aiohttp import web
from pydantic import Field

from service_kit.errors import BadRequest, NotFound
from service_kit.http import access, paths, queries
from service_kit.http.endpoints import Answer, Parameter, endpoint
from service_kit.http.json_bodies import json_answer, read_json
from storage_service.http.receiving import SETTINGS
from storage_service.http.webhook_bodies import (
    FailedEvent,
    FailedEvents,
    SecretRotation,
    Webhook,
    WebhookRequest,
    Webhooks,
    WebhookTest,
    WebhookUpdate,
    WebhookWithSecret,
)
from storage_service.subscriptions import Subscriptions, WebhookChange

SUBSCRIPTIONS = web.AppKey("SUBSCRIPTIONS", Subscriptions)

_NO_STORE = {"Cache-Control": "no-store"}
_PAGE, _LONGEST_PAGE = 100, 1000
_PageSize = Annotated[int, Field(ge=1, le=_LONGEST_PAGE)]


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
    webhook_id, subscriptions = request.match_info["webhook_id"], request.app[SUBSCRIPTIONS]
    found = [FailedEvent.of(failure) for failure in await subscriptions.failures(webhook_id, limit)]
    waiting, reason = await subscriptions.waiting(webhook_id)
    return json_answer(FailedEvents(failures=found, waiting=waiting, waiting_reason=reason))


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
