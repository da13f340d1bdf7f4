"""The HTTP API for upload tokens."""

from datetime import timedelta

from aiohttp import web
from pydantic import ConfigDict, Field

from imaging.formats import EXTENSIONS, FORMATS
from service_kit.access import Visibility, check_space
from service_kit.errors import BadRequest, Hidden, NotFound
from service_kit.http import access, paths, queries
from service_kit.http.endpoints import Answer, endpoint
from service_kit.http.json_bodies import JsonAnswer, JsonRequest, Moment, SpaceName, Whole, json_answer, read_json
from storage_service.http.receiving import SETTINGS, TOKENS, check_moderated
from storage_service.tokens import Wish

_LONGEST = 7 * 86400
_MOST_USES = 1000


class UploadTokenRequest(JsonRequest):
    """An upload token to make."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"formats": ["jpeg", "png"], "expires_in": 600}]})

    max_bytes: Whole | None = Field(None, gt=0)
    """The largest upload; null: what the service allows."""
    formats: list[str] = Field([], json_schema_extra={"items": {"enum": [*EXTENSIONS]}})
    """The formats that may be uploaded; empty: all."""
    count: Whole = Field(1, gt=0, le=_MOST_USES)
    """How many images may be uploaded."""
    expires_in: Whole = Field(900, gt=0, le=_LONGEST)
    """Seconds."""
    visibility: Visibility | None = None
    """Who may see the images; null: as `DEFAULT_VISIBILITY` says."""
    space: SpaceName | None = None
    """Where the images will be; null: in the space of the key."""


class UploadToken(JsonAnswer):
    """An upload token, and what it allows."""

    token: str
    """What the page sends: `Authorization: Bearer TOKEN`."""
    upload_url: str
    """Where the page posts the image."""
    max_bytes: int
    formats: list[str]
    count: int
    expires_at: Moment
    visibility: Visibility
    space: str


def routes() -> list[web.RouteDef]:
    """The route for upload tokens."""
    return [web.post(paths.UPLOADS, create)]


@endpoint(
    "create_upload_token",
    "Make an upload token",
    {201: Answer("The token, which is shown this once.", UploadToken)},
    NotFound,
    text="With it, a web page may upload without a key.",
    body=UploadTokenRequest,
)
async def create(request: web.Request) -> web.Response:
    """Make an upload token: 201 with its text, which is not shown again."""
    queries.parameters(request)
    settings = request.app[SETTINGS]
    wanted = await read_json(request, settings, UploadTokenRequest)
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
    check_moderated(settings, identity, wish.visibility)
    record, token = await request.app[TOKENS].create(identity, wish, wanted.space)
    answer = UploadToken(
        token=token,
        upload_url=f"{settings.link_base}/v1/images",
        max_bytes=record.max_bytes,
        formats=record.formats.split() or [*FORMATS],
        count=record.uses_left,
        expires_at=record.expires_at,
        visibility=Visibility(record.visibility),
        space=record.space,
    )
    return json_answer(answer, 201)
