"""The HTTP API of the storage service: uploads, originals, info, lists, deletion."""

import base64
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from service_kit.access import DEFAULT_SPACE, Identity, Scope, Visibility, check_space, check_view
from service_kit.errors import BadRequest, Forbidden, Hidden
from service_kit.http import access, paths, queries
from service_kit.http.delivery import check_match
from service_kit.http.health import health_route
from service_kit.http.json_bodies import read_json
from service_kit.http.uploads import FILE_FIELD, read_form
from service_kit.ids import checked_image_id
from service_kit.observing import spans
from service_kit.parameters import DOWNLOAD
from service_kit.spool import Spool
from storage_service.http.originals import send_original
from storage_service.library import Library, Owner
from storage_service.metadata.base import ImageRecord, Position, TokenRecord
from storage_service.settings import StorageSettings
from storage_service.tokens import UploadTokens

TOKENS = web.AppKey("TOKENS", UploadTokens)
LIBRARY = web.AppKey("LIBRARY", Library)
SPOOL = web.AppKey("SPOOL", Spool)
SETTINGS = web.AppKey("SETTINGS", StorageSettings)

_NO_STORE = {"Cache-Control": "no-store"}
_DEFAULT_PAGE, _MAX_PAGE = 50, 500
_SPACE, _VISIBILITY = "space", "visibility"
_LIST_PARAMETERS = ("limit", "cursor", _SPACE)
_UPLOAD_PARAMETERS = (_SPACE, _VISIBILITY)


class _Change(BaseModel):
    """What can be changed of an image."""

    model_config = ConfigDict(extra="forbid")

    visibility: Visibility


def routes() -> list[web.RouteDef]:
    """The routes for images and originals."""
    return [
        health_route(paths.IMAGES + "/healthcheck", "image-storage"),
        web.post(paths.IMAGES, upload),
        web.get(paths.IMAGES, list_images),
        web.get(paths.IMAGE, original),
        web.delete(paths.IMAGE, delete),
        web.patch(paths.IMAGE, change),
        web.get(paths.INFO, info),
    ]


async def upload(request: web.Request) -> web.Response:
    """Store an image: 201 with its description."""
    given = queries.parameters(request, _UPLOAD_PARAMETERS)
    identity = access.identity_of(request)
    async with AsyncExitStack() as stack:
        use = None
        if identity.token:
            use = await stack.enter_async_context(request.app[TOKENS].used(identity.token))
        owner = _owner(request, identity, given, use.token if use else None)
        await request.app[LIBRARY].admit(owner)
        limit = use.token.max_bytes if use else None
        with spans.during("receive"):
            form = await stack.enter_async_context(
                read_form(request, request.app[SPOOL], request.app[SETTINGS], limit=limit)
            )
        if form.file is None:
            raise BadRequest(
                f"the form has no file in the field {FILE_FIELD!r}; send one, as in curl -F {FILE_FIELD}=@photo.jpg"
            )
        if use:
            use.is_storing = True
        record = await request.app[LIBRARY].add(form.file, owner)
    facts = _facts(record, request.app[SETTINGS].link_base)
    return web.json_response(facts, status=201, headers={"Location": facts["url"], **_NO_STORE})


async def original(request: web.Request) -> web.StreamResponse:
    """The original of an image."""
    download = queries.parameters(request, [DOWNLOAD]).get(DOWNLOAD)
    library = request.app[LIBRARY]
    with spans.during("record"):
        record = await library.find_whole(request.match_info["image_id"])
    check_view(access.identity_of(request), record.image_id, record.visibility, record.space)
    return await send_original(request, library, record, request.app[SETTINGS], download)


async def info(request: web.Request) -> web.Response:
    """The full description of an image."""
    queries.parameters(request)
    with spans.during("record"):
        space = access.identity_of(request).space
        record = await request.app[LIBRARY].find(request.match_info["image_id"], space)
    return web.json_response(_details(record, request.app[SETTINGS].link_base), headers=_NO_STORE)


async def list_images(request: web.Request) -> web.Response:
    """One page of images, newest first. The `cursor` in the response leads to the next page."""
    given = queries.parameters(request, _LIST_PARAMETERS)
    limit = queries.whole_number(given, "limit", _DEFAULT_PAGE, _MAX_PAGE)
    after = _position(given["cursor"]) if "cursor" in given else None
    with spans.during("record"):
        records = await request.app[LIBRARY].page(limit + 1, after, _space(request, given))
    page, more = records[:limit], records[limit:]
    base = request.app[SETTINGS].link_base
    body = {"images": [_facts(record, base) for record in page], "cursor": _cursor(page[-1]) if more else None}
    return web.json_response(body, headers=_NO_STORE)


async def delete(request: web.Request) -> web.Response:
    """Delete an image: 204, and 410 from then on."""
    if request.query_string:
        raise BadRequest("DELETE takes no query; remove it to delete the image with all its variants")
    library, image_id = request.app[LIBRARY], request.match_info["image_id"]
    if "If-Match" in request.headers:
        check_match(request, (await library.find(image_id, access.identity_of(request).space)).sha256)
    with spans.during("delete"):
        await library.delete(image_id, access.identity_of(request))
    return web.Response(status=204, headers=_NO_STORE)


async def change(request: web.Request) -> web.Response:
    """Change who may see an image: 200 with its description."""
    queries.parameters(request)
    wanted = await read_json(request, request.app[SETTINGS], _Change)
    library, identity = request.app[LIBRARY], access.identity_of(request)
    if wanted.visibility is Visibility.PUBLIC and not identity.may(Scope.READ):
        raise Forbidden(f"making an image public requires the scope `{Scope.READ}` as well; use a key that has it")
    with spans.during("record"):
        record = await library.show_to(request.match_info["image_id"], wanted.visibility, identity)
    return web.json_response(_facts(record, request.app[SETTINGS].link_base), headers=_NO_STORE)


def _owner(request: web.Request, identity: Identity, given: Mapping[str, str], token: TokenRecord | None) -> Owner:
    if token:
        if given:
            raise BadRequest("an upload token says whose the image will be and who may see it; remove the query")
        return Owner(token.key_id, token.space, token.visibility, token.formats.split())
    visibility = given.get(_VISIBILITY, request.app[SETTINGS].default_visibility)
    if visibility not in {*Visibility}:
        raise BadRequest(f"{_VISIBILITY}={visibility[:64]!r} is unknown; use {' or '.join(Visibility)}")
    return Owner(identity.key_id, _space(request, given) or DEFAULT_SPACE, visibility)


def _space(request: web.Request, given: Mapping[str, str]) -> str | None:
    """The space that a request is about; None for all. Raises NotFound if the key may not use it."""
    own, space = access.identity_of(request).space, given.get(_SPACE)
    if space is None:
        return own
    if own not in {None, space}:
        raise Hidden(f"the space {space[:64]!r} does not exist")
    check_space(space)
    return space


def _facts(record: ImageRecord, base: str) -> dict[str, Any]:
    fmt = record.image_format
    return {
        "image_id": record.image_id,
        "filename": f"{record.image_id}.{fmt.extension}",
        "url": paths.image_url(record.image_id, base=base),
        "format": fmt.name,
        "content_type": fmt.media_type,
        "width": record.width,
        "height": record.height,
        "frames": record.frames,
        "bytes": record.bytes,
        "sha256": record.sha256,
        "visibility": record.visibility,
        "space": record.space,
        "created_at": record.created_at.astimezone(UTC).isoformat(),
    }


def _details(record: ImageRecord, base: str) -> dict[str, Any]:
    original = paths.image_url(record.image_id, base=base)
    return {
        **_facts(record, base),
        "orientation": record.orientation,
        "colour_space": record.colour_space,
        "alpha": record.alpha,
        "unread_frames": record.unread_frames,
        "gain_map": record.gain_map_pixels > 0,
        "links": {
            "original": original,
            "thumbnail": f"{original}?thumb=200",
            "webp": paths.image_url(record.image_id, "webp", base),
        },
    }


def _cursor(record: ImageRecord) -> str:
    text = f"{record.created_at.astimezone(UTC).isoformat()}|{record.image_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(cursor: str) -> Position:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        moment, _, image_id = text.partition("|")
        return Position(datetime.fromisoformat(moment).astimezone(UTC), checked_image_id(image_id))
    except (BadRequest, ValueError, OverflowError) as error:
        raise BadRequest(f"cursor={cursor[:64]!r} is not valid; use the cursor of the previous response") from error
