"""The HTTP API for signed URLs, and what Varnish asks about credentials."""

import time
from datetime import UTC, datetime

from aiohttp import hdrs, web
from pydantic import ConfigDict, Field

from service_kit import signing
from service_kit.access import EVERYTHING, Identity, Mode, Scope
from service_kit.errors import BadRequest, Forbidden, Unauthorized
from service_kit.http import access, paths, queries
from service_kit.http.endpoints import Answer, endpoint
from service_kit.http.json_bodies import JsonAnswer, JsonRequest, Moment, Whole, json_answer, read_json
from storage_service.audit import Action
from storage_service.http.audits import AUDIT
from storage_service.http.keys import KEYRING
from storage_service.http.receiving import SETTINGS

_GRANT_SECONDS = 2
"""How long Varnish remembers a grant. With the second of the keyring, a revocation takes effect within 5 s."""


class SignRequest(JsonRequest):
    """A URL to sign."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"url": "/v1/images/0123456789abcdef0123456789abcdef.webp?thumb=300", "expires_in": 3600}]
        }
    )

    url: str = Field(max_length=paths.MAX_URL)
    """The URL of a picture, whole or from its path on."""
    expires_in: Whole | None = Field(None, gt=0, le=10 * 366 * 86400)
    """Seconds; null: the URL works as long as the key."""
    widths: list[Whole] = Field([])
    """Values that viewers may put in place of the width (`w`) in the URL."""
    presets: list[str] = Field([])
    """Presets that viewers may put in place of the one in the URL."""


class SignedUrl(JsonAnswer):
    """A signed URL."""

    url: str
    expires_at: Moment | None


def routes() -> list[web.RouteDef]:
    """The route that signs URLs."""
    return [web.post(paths.SIGN, sign)]


@endpoint(
    "sign_url",
    "Sign the URL of a picture",
    {200: Answer("The signed URL.", SignedUrl)},
    text="The URL is signed with the signing secret of the key that asks for it.",
    body=SignRequest,
)
async def sign(request: web.Request) -> web.Response:
    """Sign a URL with the signing secret of the key that asks for it: 200 with the signed URL."""
    queries.parameters(request)
    wanted = await read_json(request, request.app[SETTINGS], SignRequest)
    identity = access.identity_of(request)
    if not identity.key_id and hdrs.AUTHORIZATION in request.headers:  # where nobody needs a key
        identity = await request.app[KEYRING].identify(access.key_of(request))
    if not identity.key_id:
        raise access.refusal(identity, Scope.SIGN, request.app[access.MODE])
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
    until = datetime.fromtimestamp(expires, UTC) if expires else None
    return json_answer(SignedUrl(url=base + signed, expires_at=until))


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
