"""The HTTP API for signed URLs, and what Varnish asks about credentials."""

import time
from datetime import UTC, datetime

from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, Field

from service_kit import signing
from service_kit.access import EVERYTHING, Identity, Mode, Scope
from service_kit.errors import BadRequest, Forbidden, Unauthorized
from service_kit.http import access, paths, queries
from service_kit.http.json_bodies import read_json
from storage_service.audit import Action
from storage_service.http.audits import AUDIT
from storage_service.http.handlers import SETTINGS
from storage_service.http.keys import KEYRING

_NO_STORE = {"Cache-Control": "no-store"}
_GRANT_SECONDS = 2
"""How long Varnish remembers a grant. With the second of the keyring, a revocation takes effect within 5 s."""


class _Wanted(BaseModel):
    """A URL to sign."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=paths.MAX_URL)
    expires_in: int | None = Field(None, gt=0, le=10 * 366 * 86400)
    widths: list[int] = []
    presets: list[str] = []


def routes() -> list[web.RouteDef]:
    """The route that signs URLs."""
    return [web.post(paths.SIGN, sign)]


async def sign(request: web.Request) -> web.Response:
    """Sign a URL with the signing secret of the key that asks for it: 200 with the signed URL."""
    queries.parameters(request)
    wanted = await read_json(request, request.app[SETTINGS], _Wanted)
    identity = access.identity_of(request)
    if not identity.key_id and hdrs.AUTHORIZATION in request.headers:  # where nobody needs a key
        identity = await request.app[KEYRING].identify(access.key_of(request))
    if not identity.key_id:
        raise Forbidden("URLs are signed with a key; make one with the scope `sign`, and send it as a Bearer token")
    secret = request.app[KEYRING].signing_secret(identity.key_id)
    if not identity.may(Scope.SIGN):
        raise Forbidden(f"the key lacks the scope `{Scope.SIGN}`; use one that has it")
    expires = int(time.time()) + wanted.expires_in if wanted.expires_in else None
    try:
        base, target = signing.split(wanted.url)
        signed = signing.signed(
            target, secret, expires=expires, widths=tuple(wanted.widths), presets=tuple(wanted.presets)
        )
    except ValueError as error:
        raise BadRequest(str(error)) from None
    await request.app[AUDIT].add(identity.key_id, Action.SIGN, target, identity.space)
    body = {
        "url": base + signed,
        "expires_at": datetime.fromtimestamp(expires, UTC).isoformat() if expires else None,
    }
    return web.json_response(body, headers=_NO_STORE)


async def access_of(request: web.Request) -> web.Response:
    """What the credentials of a request give a right to: for Varnish in headers, for the transform service in JSON."""
    target = request.raw_path.removeprefix(paths.ACCESS)
    if signing.is_signed(target):
        identity = await request.app[KEYRING].verify(target)
    elif request.app[access.MODE] is not Mode.KEYS:
        access.check_host(request)
        identity = EVERYTHING
    elif hdrs.AUTHORIZATION in request.headers:
        identity = await request.app[KEYRING].identify(access.key_of(request))
    else:
        raise Unauthorized(
            f"this picture requires a signed URL, or a key with the scope `{Scope.READ}`; send the key as"
            " `Authorization: Bearer KEY`"
        )
    seconds = _GRANT_SECONDS if identity.until is None else min(_GRANT_SECONDS, int(identity.until - time.time()))
    headers = {"Grant": _grant(identity), "Cache-Control": f"max-age={max(0, seconds)}"}
    if identity.signed:
        headers["Grant-Until"] = str(int(identity.until)) if identity.until is not None else "never"
    return web.json_response(text=identity.to_json(), headers=headers)


def _grant(identity: Identity) -> str:
    """The spaces whose pictures it may see, as in the header `Viewers`; after `none`, those that exist for it."""
    space = "all" if identity.space is None else f"space-{identity.space}"
    return space if identity.may(Scope.READ) else f"none {space}"
