"""The HTTP API for upload tokens."""

from datetime import UTC, timedelta

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from imaging.formats import EXTENSIONS, FORMATS
from service_kit.access import Visibility, check_space
from service_kit.errors import BadRequest, Hidden
from service_kit.http import access, paths, queries
from service_kit.http.json_bodies import read_json
from storage_service.http.handlers import SETTINGS, TOKENS
from storage_service.tokens import Wish

_NO_STORE = {"Cache-Control": "no-store"}
_LONGEST = 7 * 86400
_MOST_USES = 1000


class _Wanted(BaseModel):
    """An upload token to make."""

    model_config = ConfigDict(extra="forbid")

    max_bytes: int | None = Field(None, gt=0)
    formats: list[str] = []
    count: int = Field(1, gt=0, le=_MOST_USES)
    expires_in: int = Field(900, gt=0, le=_LONGEST)
    visibility: Visibility | None = None
    space: str | None = None


def routes() -> list[web.RouteDef]:
    """The route for upload tokens."""
    return [web.post(paths.UPLOADS, create)]


async def create(request: web.Request) -> web.Response:
    """Make an upload token: 201 with its text, which is not shown again."""
    queries.parameters(request)
    settings = request.app[SETTINGS]
    wanted = await read_json(request, settings, _Wanted)
    identity = access.identity_of(request)
    for name in wanted.formats:
        if name not in EXTENSIONS:
            raise BadRequest(f"formats: {name[:64]!r} is not a format; use {', '.join(FORMATS)}")
    if wanted.space is not None:
        check_space(wanted.space)
        if not identity.sees(wanted.space):
            raise Hidden(f"the space {wanted.space!r} does not exist")
    wish = Wish(
        max_bytes=min(wanted.max_bytes or settings.max_upload_bytes, settings.max_upload_bytes),
        formats=sorted({EXTENSIONS[name].name for name in wanted.formats}),
        uses=wanted.count,
        lifetime=timedelta(seconds=wanted.expires_in),
        visibility=wanted.visibility or Visibility(settings.default_visibility),
    )
    record, token = await request.app[TOKENS].create(identity, wish, wanted.space)
    body = {
        "token": token,
        "upload_url": f"{settings.link_base}/v1/images",
        "max_bytes": record.max_bytes,
        "formats": record.formats.split() or [*FORMATS],
        "count": record.uses_left,
        "expires_at": record.expires_at.astimezone(UTC).isoformat(),
        "visibility": record.visibility,
        "space": record.space,
    }
    return web.json_response(body, status=201, headers=_NO_STORE)
