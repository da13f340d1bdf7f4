"""The HTTP API for keys, which requires one with the scope `admin`."""

from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from service_kit.http import access, paths, queries
from service_kit.http.json_bodies import read_json
from storage_service.http.handlers import SETTINGS
from storage_service.keyring import Keyring, NewKey
from storage_service.metadata.base import KeyRecord

KEYRING = web.AppKey("KEYRING", Keyring)

_NO_STORE = {"Cache-Control": "no-store"}
_LONGEST_OVERLAP = 365 * 86400


class _Wanted(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid")

    name: str
    scopes: list[str]
    expires_at: AwareDatetime | None = None
    space: str | None = None


class _Overlap(BaseModel):
    """How long the old key works besides the new one."""

    model_config = ConfigDict(extra="forbid")

    overlap_seconds: int = Field(86400, ge=0, le=_LONGEST_OVERLAP)


def routes() -> list[web.RouteDef]:
    """The routes for keys."""
    return [
        web.get(paths.KEYS, list_keys),
        web.post(paths.KEYS, create),
        web.delete(paths.KEY, revoke),
        web.post(paths.ROTATION, rotate),
    ]


async def list_keys(request: web.Request) -> web.Response:
    """All keys, oldest first, without their secrets."""
    queries.parameters(request)
    found = [described(record) for record in await request.app[KEYRING].all()]
    return web.json_response({"keys": found}, headers=_NO_STORE)


async def create(request: web.Request) -> web.Response:
    """Make a key: 201 with its secret, which is not shown again."""
    queries.parameters(request)
    wanted = await read_json(request, request.app[SETTINGS], _Wanted)
    by = access.identity_of(request).key_id
    return _created(await request.app[KEYRING].create(wanted.name, wanted.scopes, wanted.expires_at, wanted.space, by))


async def revoke(request: web.Request) -> web.Response:
    """Revoke a key: 204."""
    queries.parameters(request)
    await request.app[KEYRING].revoke(request.match_info["key_id"], access.identity_of(request).key_id)
    return web.Response(status=204, headers=_NO_STORE)


async def rotate(request: web.Request) -> web.Response:
    """Make a key that takes the place of another one: 201 with its secret."""
    queries.parameters(request)
    wanted = await read_json(request, request.app[SETTINGS], _Overlap)
    overlap = timedelta(seconds=wanted.overlap_seconds)
    by = access.identity_of(request).key_id
    return _created(await request.app[KEYRING].rotate(request.match_info["key_id"], overlap, by))


async def identity(request: web.Request) -> web.Response:
    """Whose key a request has, for the transform service."""
    found = await request.app[KEYRING].identify(access.key_of(request))
    return web.json_response(text=found.to_json(), headers=_NO_STORE)


def _created(new: NewKey) -> web.Response:
    return web.json_response(shown(new), status=201, headers=_NO_STORE)


def shown(new: NewKey) -> dict[str, Any]:
    """A new key in JSON, with its secrets."""
    secret = {"signing_secret": new.signing_secret} if new.signing_secret else {}
    return {**described(new.record), "key": new.key, **secret}


def described(record: KeyRecord) -> dict[str, Any]:
    """A key in JSON, without anything secret."""
    return {
        "key_id": record.key_id,
        "prefix": f"ik_{record.key_id}",
        "name": record.name,
        "scopes": record.scopes.split(),
        "space": record.space,
        **{name: _text(getattr(record, name)) for name in ("created_at", "expires_at", "revoked_at", "used_at")},
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
