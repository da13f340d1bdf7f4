"""The HTTP API about who asks: pages show what a key may do, and nothing else."""

from aiohttp import hdrs, web

from service_kit.access import Mode, Scope
from service_kit.http import access, paths, queries
from service_kit.http.endpoints import Answer, endpoint
from service_kit.http.json_bodies import JsonAnswer, json_answer
from storage_service.http.keys import KEYRING

_NEEDS_KEY = frozenset({Scope.ADMIN, Scope.SIGN})
"""What takes a key even where nobody needs one."""


class Me(JsonAnswer):
    """Who asks, and what they may do."""

    keys_required: bool
    """Whether a request without a key gets public pictures only."""
    key_id: str | None
    """The ID of the key; null without one."""
    name: str | None
    """The name of the key; null without one."""
    scopes: list[Scope]
    """What is allowed; `admin` includes all others."""
    space: str | None
    """The only space that the key may use; null: all."""
    expires_at: float | None
    """When the key stops working, in seconds since 1970; null: never."""


def routes() -> list[web.RouteDef]:
    """The route about who asks."""
    return [web.get(paths.ME, me)]


@endpoint(
    "get_me",
    "Show what the key may do",
    {200: Answer("The name of the key, what it allows, and whether one is required.", Me)},
    text="Without a key, it says what everybody may do. A key that does not work gets 403.",
)
async def me(request: web.Request) -> web.Response:
    """What who asks may do."""
    queries.parameters(request)
    required, keyring = request.app[access.MODE] is Mode.KEYS, request.app[KEYRING]
    identity, name = access.identity_of(request), None
    scopes = set(identity.scopes) if required else set(Scope) - _NEEDS_KEY
    if hdrs.AUTHORIZATION in request.headers:
        identity = await keyring.identify(access.key_of(request))
        name = await keyring.name_of(identity.key_id)
        scopes |= identity.scopes
    answer = Me(
        keys_required=required,
        key_id=identity.key_id or None,
        name=name,
        scopes=[scope for scope in Scope if scope in scopes],
        space=identity.space,
        expires_at=identity.until,
    )
    return json_answer(answer)
