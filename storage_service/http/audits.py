"""The HTTP API for the audit trail, which requires a key with the scope `admin`."""

from typing import Annotated, Self

from aiohttp import web
from pydantic import Field

from service_kit.http import paths, queries
from service_kit.http.endpoints import Answer, Parameter, endpoint
from service_kit.http.json_bodies import JsonAnswer, Moment, json_answer
from storage_service.audit import AuditTrail
from storage_service.metadata import base

AUDIT = web.AppKey("AUDIT", AuditTrail)
_MOST, _DEFAULT = 1000, 100


class AuditEntry(JsonAnswer):
    """Who changed what."""

    at: Moment
    key_id: str
    """The ID of the key; `cli` for the command line."""
    action: str
    subject: str
    """The ID of an image, a key or a token, the name of a space, or a URL without its signature."""
    space: str
    request_id: str

    @classmethod
    def of(cls, entry: base.AuditEntry) -> Self:
        """An entry as administrators see it."""
        return cls(**entry.model_dump(exclude={"entry_id"}))


class AuditEntries(JsonAnswer):
    """Entries of the audit trail, newest first."""

    entries: list[AuditEntry]


def routes() -> list[web.RouteDef]:
    """The route for the audit trail."""
    return [web.get(paths.AUDIT, newest)]


@endpoint(
    "list_audit_entries",
    "Show who changed what",
    {200: Answer("The newest entries.", AuditEntries)},
    query=(
        Parameter("limit", f"The most entries; by default {_DEFAULT}.", Annotated[int, Field(ge=1, le=_MOST)]),
        Parameter("key_id", "Only what was done with this key."),
        Parameter("subject", "Only what was done to this image, key, token, space or URL."),
    ),
)
async def newest(request: web.Request) -> web.Response:
    """The newest entries; those of a `key_id` or about a `subject`, if the query names one."""
    given = queries.parameters(request, ("limit", "key_id", "subject"))
    limit = queries.whole_number(given, "limit", _DEFAULT, _MOST)
    found = await request.app[AUDIT].newest(limit, given.get("key_id"), given.get("subject"))
    return json_answer(AuditEntries(entries=[AuditEntry.of(entry) for entry in found]))
