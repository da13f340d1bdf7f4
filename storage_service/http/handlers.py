"""The HTTP API of the storage service: uploads, originals, info, lists, deletion."""

import base64
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Annotated

from aiohttp import web
from pydantic import Field

from imaging.looks import Look
from service_kit.access import Scope, check_view
from service_kit.errors import (
    BadRequest,
    ContentLost,
    Forbidden,
    Gone,
    InsufficientStorage,
    NotFound,
    PreconditionFailed,
    RangeNotSatisfiable,
    Unauthorized,
    UnprocessableImage,
    UnsupportedImage,
)
from service_kit.http import access, paths, queries
from service_kit.http.delivery import check_match
from service_kit.http.endpoints import CONDITIONS, DOWNLOAD_PARAMETER, IF_MATCH, Answer, Form, Parameter, endpoint
from service_kit.http.health import health_route
from service_kit.http.json_bodies import json_answer, read_json
from service_kit.http.uploads import FILE_FIELD
from service_kit.ids import checked_image_id
from service_kit.observing import spans
from service_kit.parameters import DOWNLOAD
from storage_service import repeats
from storage_service.changes import Changes
from storage_service.http.filters import FILTERS, filters_in
from storage_service.http.images import Image, ImageDetails, ImagePage
from storage_service.http.labels import LABEL_TEXTS, ImageChange
from storage_service.http.looks import LOOKS
from storage_service.http.originals import send_original
from storage_service.http.receiving import LIBRARY, OWN_SPACE, SETTINGS, UPLOAD_PARAMETERS, received, space_in
from storage_service.metadata.base import ImageRecord, Position

CHANGES = web.AppKey("CHANGES", Changes)

_NO_STORE = {"Cache-Control": "no-store"}
_DEFAULT_PAGE, _MAX_PAGE = 50, 500
_LARGEST_CHANGE = 128 * 1024
"""Bytes of JSON: most characters of the metadata may be escaped."""
_PageSize = Annotated[int, Field(ge=1, le=_MAX_PAGE)]
_CONTENT_RANGE = Parameter("Content-Range", "Which bytes the body has, such as `bytes 0-1023/20480`.")
RANGE = Parameter("Range", "Requests a part of the original, such as `bytes=0-1023`.")
_LOCATION = Parameter("Location", "The URL of the original.")


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


@endpoint(
    "upload_image",
    "Upload an image",
    {201: Answer("The image is stored.", Image, (_LOCATION,))},
    UnsupportedImage,
    UnprocessableImage,
    InsufficientStorage,
    Gone,
    text="Send a form with the file, or its bytes with an `image/*` content type. You may upload the same file several"
    " times: each upload is an image with an ID of its own. With an upload token instead of a key, send no query.",
    query=UPLOAD_PARAMETERS,
    headers=(
        Parameter(
            repeats.HEADER,
            "Any text that only this upload has, such as a UUID. If you do not know whether the upload has arrived,"
            " send it again: for a day, the same key is the same image.",
        ),
    ),
    body=Form({FILE_FIELD: "The image.", **LABEL_TEXTS}),
)
async def upload(request: web.Request) -> web.Response:
    """Store an image: 201 with its description."""
    async with AsyncExitStack() as stack:
        record = await (await received(request, stack)).store()
    image = Image.of(record, request.app[SETTINGS].link_base)
    return json_answer(image, 201, Location=image.url)


@endpoint(
    "get_image",
    "Get an image, or a variant in its own format",
    {
        200: Answer("The original, byte for byte; with operations, the variant.", is_image=True),
        206: Answer("The requested range of the original.", is_image=True, headers=(_CONTENT_RANGE,)),
        304: Answer("The client has the image already."),
    },
    Unauthorized,
    NotFound,
    Gone,
    PreconditionFailed,
    RangeNotSatisfiable,
    ContentLost,
    text="Without operations, the original with its metadata. With operations (`/images/ID?thumb=300`), a picture in"
    " the format of the original.",
    query=(DOWNLOAD_PARAMETER,),
    headers=(*CONDITIONS, RANGE),
)
async def original(request: web.Request) -> web.StreamResponse:
    """The original of an image."""
    download = queries.parameters(request, [DOWNLOAD]).get(DOWNLOAD)
    library = request.app[LIBRARY]
    with spans.during("record"):
        record = await library.find_whole(request.match_info["image_id"])
    check_view(access.identity_of(request), record.image_id, record.visibility, record.space)
    return await send_original(request, library, record, request.app[SETTINGS], download)


@endpoint(
    "get_image_info", "Describe an image", {200: Answer("All that is known about it.", ImageDetails)}, NotFound, Gone
)
async def info(request: web.Request) -> web.Response:
    """The full description of an image."""
    queries.parameters(request)
    with spans.during("record"):
        space = access.identity_of(request).space
        record = await request.app[LIBRARY].find(request.match_info["image_id"], space)
    return json_answer(ImageDetails.of(record, request.app[SETTINGS].link_base, await _look(request, record)))


@endpoint(
    "list_images",
    "List and search images, newest first",
    {200: Answer("A page of the list.", ImagePage)},
    NotFound,
    query=(
        Parameter("limit", f"How many images a page has; by default {_DEFAULT_PAGE}.", _PageSize),
        Parameter("cursor", "The `cursor` of the previous page."),
        OWN_SPACE,
        *FILTERS,
    ),
)
async def list_images(request: web.Request) -> web.Response:
    """One page of images, newest first. The `cursor` in the response leads to the next page."""
    given = queries.parameters(request, ("limit", "cursor", OWN_SPACE.name, *(each.name for each in FILTERS)))
    limit = queries.whole_number(given, "limit", _DEFAULT_PAGE, _MAX_PAGE)
    after = _position(given["cursor"]) if "cursor" in given else None
    filters = filters_in(given, space_in(request, given))
    with spans.during("record"):
        page = await request.app[LIBRARY].search(filters, limit, after)
        looks = await request.app[LOOKS].of(page.images)
    base = request.app[SETTINGS].link_base
    images = [Image.of(record, base, looks.get(record.sha256)) for record in page.images]
    return json_answer(ImagePage(images=images, cursor=_cursor(page.next) if page.next else None))


@endpoint(
    "delete_image",
    "Delete an image",
    {204: Answer("The image and all its variants are gone from every cache, and answer 410 from now on.")},
    NotFound,
    Gone,
    PreconditionFailed,
    headers=(IF_MATCH,),
)
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


@endpoint(
    "change_image",
    "Change what is said about an image, or who may see it",
    {200: Answer("The image after the change; all that is known, if the key has the scope `metadata`.", Image)},
    NotFound,
    Gone,
    text="To make a private image public, the key needs the scope `read` as well, to set an expiry, `delete`, and to"
    " release a pending image, `moderate`, and nothing else.",
    body=ImageChange,
)
async def change(request: web.Request) -> web.Response:
    """Change an image: 200 with its description."""
    queries.parameters(request)
    wanted = (await read_json(request, request.app[SETTINGS], ImageChange, _LARGEST_CHANGE)).change()
    identity = access.identity_of(request)
    if "expires_at" in wanted.labels.model_fields_set and not identity.may(Scope.DELETE):
        raise Forbidden(
            f"an expiry deletes the image, which requires the scope `{Scope.DELETE}`; use a key that has it"
        )
    with spans.during("record"):
        record = await request.app[CHANGES].apply(request.match_info["image_id"], wanted, identity)
    answer = ImageDetails if identity.may(Scope.METADATA) else Image
    return json_answer(answer.of(record, request.app[SETTINGS].link_base, await _look(request, record)))


async def _look(request: web.Request, record: ImageRecord) -> Look | None:
    return (await request.app[LOOKS].of([record])).get(record.sha256)


def _cursor(position: Position) -> str:
    text = f"{position.created_at.astimezone(UTC).isoformat()}|{position.image_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(cursor: str) -> Position:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        moment, _, image_id = text.partition("|")
        return Position(datetime.fromisoformat(moment).astimezone(UTC), checked_image_id(image_id))
    except (BadRequest, ValueError, OverflowError) as error:
        raise BadRequest(f"cursor={cursor[:64]!r} is not valid; use the cursor of the previous response") from error
