"""The HTTP API for keys, which requires one with the scope `admin`."""

from datetime import timedelta
from typing import Any

from aiohttp import web
from pydantic import AwareDatetime, ConfigDict, Field

from service_kit.access import Scope
from service_kit.errors import NotFound
from service_kit.http import access, paths, queries
from service_kit.http.endpoints import Answer, endpoint
from service_kit.http.json_bodies import JsonAnswer, JsonRequest, Moment, SpaceName, Whole, json_answer, read_json
from storage_service.http.receiving import SETTINGS
from storage_service.keyring import Keyring, NewKey
from storage_service.metadata.base import KeyRecord

KEYRING = web.AppKey("KEYRING", Keyring)

_NO_STORE = {"Cache-Control": "no-store"}
_LONGEST_OVERLAP = 365 * 86400


class KeyRequest(JsonRequest):
    """A key to make."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "web shop", "scopes": ["upload", "sign"]}]})

    name: str = Field(json_schema_extra={"minLength": 1, "maxLength": 64})
    """Whose key it is: letters, digits, spaces and `.@:/+-_`."""
    scopes: list[str] = Field(json_schema_extra={"items": {"enum": [*Scope]}, "minItems": 1})
    """What it allows."""
    expires_at: AwareDatetime | None = None
    """When it stops working; null: never."""
    space: SpaceName | None = None
    """The only space that it may use; null: all."""


class Rotation(JsonRequest):
    """How a key is replaced."""

    overlap_seconds: Whole = Field(86400, ge=0, le=_LONGEST_OVERLAP)
    """How long the old key works besides the new one."""


class Key(JsonAnswer):
    """A key, without its secret."""

    key_id: str
    prefix: str
    """How the key begins."""
    name: str
    scopes: list[str]
    space: str | None
    """The only space that it may use; null: all."""
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    used_at: Moment | None
    """To the minute."""

    @classmethod
    def of(cls, record: KeyRecord) -> "Key":
        """A key as administrators see it."""
        return cls(**_facts(record))


class Keys(JsonAnswer):
    """All keys, oldest first."""

    keys: list[Key]


class CreatedKey(Key):
    """A new key, with its secrets, which are not shown again."""

    key: str
    """What clients send: `Authorization: Bearer KEY`."""
    signing_secret: str | None = Field(None, exclude_if=lambda secret: secret is None)
    """For signing URLs, if the key has the scope `sign`."""

    @classmethod
    def of_new(cls, new: NewKey) -> "CreatedKey":
        """A new key as its maker sees it."""
        return cls(**_facts(new.record), key=new.key, signing_secret=new.signing_secret)


def routes() -> list[web.RouteDef]:
    """The routes for keys."""
    return [
        web.get(paths.KEYS, list_keys),
        web.post(paths.KEYS, create),
        web.delete(paths.KEY, revoke),
        web.post(paths.ROTATION, rotate),
    ]


@endpoint("list_keys", "List keys", {200: Answer("All keys, without their secrets.", Keys)})
async def list_keys(request: web.Request) -> web.Response:
    """All keys, oldest first, without their secrets."""
    queries.parameters(request)
    return json_answer(Keys(keys=[Key.of(record) for record in await request.app[KEYRING].all()]))


@endpoint("create_key", "Make a key", {201: Answer("The key, which is shown this once.", CreatedKey)}, body=KeyRequest)
async def create(request: web.Request) -> web.Response:
    """Make a key: 201 with its secret, which is not shown again."""
    queries.parameters(request)
    wanted = await read_json(request, request.app[SETTINGS], KeyRequest)
    by = access.identity_of(request).key_id
    return _created(await request.app[KEYRING].create(wanted.name, wanted.scopes, wanted.expires_at, wanted.space, by))


@endpoint("revoke_key", "Revoke a key", {204: Answer("The key is refused everywhere within 5 s.")}, NotFound)
async def revoke(request: web.Request) -> web.Response:
    """Revoke a key: 204."""
    queries.parameters(request)
    await request.app[KEYRING].revoke(request.match_info["key_id"], access.identity_of(request).key_id)
    return web.Response(status=204, headers=_NO_STORE)


@endpoint(
    "rotate_key",
    "Replace a key",
    {201: Answer("The new key, which is shown this once.", CreatedKey)},
    NotFound,
    body=Rotation,
)
async def rotate(request: web.Request) -> web.Response:
    """Make a key that takes the place of another one: 201 with its secret."""
    queries.parameters(request)
    wanted = await read_json(request, request.app[SETTINGS], Rotation)
    overlap = timedelta(seconds=wanted.overlap_seconds)
    by = access.identity_of(request).key_id
    return _created(await request.app[KEYRING].rotate(request.match_info["key_id"], overlap, by))


async def identity(request: web.Request) -> web.Response:
    """Whose key a request has, for the transform service."""
    found = await request.app[KEYRING].identify(access.key_of(request))
    return web.json_response(text=found.to_json(), headers=_NO_STORE)


def _created(new: NewKey) -> web.Response:
    return json_answer(CreatedKey.of_new(new), 201)


def _facts(record: KeyRecord) -> dict[str, Any]:
    names = ("key_id", "name", "space", "created_at", "expires_at", "revoked_at", "used_at")
    facts = {name: getattr(record, name) for name in names}
    return {**facts, "prefix": f"ik_{record.key_id}", "scopes": record.scopes.split()}
