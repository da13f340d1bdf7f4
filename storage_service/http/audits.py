"""The HTTP API for the audit trail, which requires a key with the scope `admin`."""

import re
from datetime import UTC
from typing import Any

from aiohttp import web

from service_kit.errors import BadRequest
from service_kit.http import paths, queries
from storage_service.audit import AuditTrail
from storage_service.metadata.base import AuditEntry

AUDIT = web.AppKey("AUDIT", AuditTrail)
_MOST, _DEFAULT = 1000, 100


def routes() -> list[web.RouteDef]:
    """The route for the audit trail."""
    return [web.get(paths.AUDIT, newest)]


async def newest(request: web.Request) -> web.Response:
    """The newest entries; those of a `key_id` or about a `subject`, if the query names one."""
    given = queries.parameters(request, ("limit", "key_id", "subject"))
    limit = given.get("limit", str(_DEFAULT))
    if not re.fullmatch("[0-9]{1,4}", limit) or not 1 <= int(limit) <= _MOST:
        raise BadRequest(f"limit={limit[:64]!r} is not a whole number from 1 to {_MOST}")
    found = await request.app[AUDIT].newest(int(limit), given.get("key_id"), given.get("subject"))
    return web.json_response({"entries": [described(entry) for entry in found]}, headers={"Cache-Control": "no-store"})


def described(entry: AuditEntry) -> dict[str, Any]:
    """An entry in JSON."""
    return entry.model_dump(exclude={"entry_id"}) | {"at": entry.at.astimezone(UTC).isoformat()}
