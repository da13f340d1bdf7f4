"""The HTTP API for names: URLs that people choose."""

from contextlib import AsyncExitStack
from typing import Annotated

from aiohttp import web
from pydantic import ConfigDict, Field

import storage_service.names
from service_kit.access import check_view
from service_kit.errors import (
    BadRequest,
    ContentLost,
    Gone,
    InsufficientStorage,
    NotFound,
    PreconditionFailed,
    RangeNotSatisfiable,
    Unauthorized,
    UnprocessableImage,
    UnsupportedImage,
)
from service_kit.http import access, media_types, paths, queries
from service_kit.http.delivery import check_match
from service_kit.http.endpoints import CONDITIONS, DOWNLOAD_PARAMETER, IF_MATCH, Answer, Form, Parameter, endpoint
from service_kit.http.json_bodies import JsonAnswer, JsonRequest, Moment, Whole, json_answer, read_json
from service_kit.http.purges import KEYS_HEADER, name_key
from service_kit.http.uploads import FILE_FIELD
from service_kit.observing import spans
from service_kit.parameters import DOWNLOAD
from storage_service.http.handlers import RANGE
from storage_service.http.images import Image, ImageId
from storage_service.http.labels import LABEL_TEXTS
from storage_service.http.originals import send_original
from storage_service.http.receiving import LIBRARY, OWN_SPACE, SETTINGS, UPLOAD_PARAMETERS, received, space_in
from storage_service.metadata.base import ImageRecord
from storage_service.names import Names, Pointed
from storage_service.settling import KEPT_SECONDS

NAMES = web.AppKey("NAMES", Names)

_DEFAULT_PAGE, _MAX_PAGE = 50, 500
_JSON = "application/json"
_PageSize = Annotated[int, Field(ge=1, le=_MAX_PAGE)]


class NameRequest(JsonRequest):
    """What a name is to show: an image that is stored already, or what it has shown in a version."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1, "examples": [{"version": 1}]})

    image_id: ImageId | None = None
    version: Whole | None = Field(None, ge=1, lt=2**63)


class Name(JsonAnswer):
    """A name, and which image it shows."""

    name: str
    url: str
    """A path, or absolute if the service has a PUBLIC_URL."""
    image_id: ImageId
    version: int
    """1 for what it showed first."""
    changed_at: Moment
    space: str

    @classmethod
    def of(cls, name: storage_service.names.Name, base: str) -> "Name":
        """A name as clients see it. `base` is in front of its URL."""
        return cls(**name.model_dump(exclude={"changing_until"}), url=paths.name_url(name.name, base))


class NamedImage(Name):
    """A name with its image."""

    image: Image


class NamePage(JsonAnswer):
    """A page of names, in order."""

    names: list[Name]
    after: str | None
    """The parameter `after` for the next page; null on the last one."""


class NameVersion(JsonAnswer):
    """What a name has shown."""

    version: int
    image_id: ImageId
    changed_at: Moment


class NameVersions(JsonAnswer):
    """What a name has shown, newest first."""

    versions: list[NameVersion]


def routes() -> list[web.RouteDef]:
    """The routes for names. The first that matches counts: a name may have any number of parts."""
    return [
        web.get(paths.NAMES, list_names),
        web.get(paths.VERSIONS, versions),
        web.get(paths.NAME, named_original),
        web.put(paths.NAME, point),
        web.delete(paths.NAME, remove),
    ]


@endpoint(
    "list_names",
    "List names",
    {200: Answer("A page of the list.", NamePage)},
    NotFound,
    query=(
        Parameter("prefix", "How the names begin, such as `shop/`."),
        Parameter("limit", f"How many names a page has; by default {_DEFAULT_PAGE}.", _PageSize),
        Parameter("after", "The `after` of the previous page."),
        OWN_SPACE,
    ),
)
async def list_names(request: web.Request) -> web.Response:
    """One page of names, in order."""
    given = queries.parameters(request, ("prefix", "limit", "after", OWN_SPACE.name))
    limit = queries.whole_number(given, "limit", _DEFAULT_PAGE, _MAX_PAGE)
    prefix, after, space = given.get("prefix", ""), given.get("after", ""), space_in(request, given)
    found = await request.app[NAMES].page(prefix, space, limit, after)
    base = request.app[SETTINGS].link_base
    following = found[-1].name if len(found) == limit else None
    return json_answer(NamePage(names=[Name.of(name, base) for name in found], after=following))


@endpoint(
    "get_named_image",
    "Get the image that a name shows, or a variant of it",
    {
        200: Answer("The image that the name shows now; with operations, the variant.", is_image=True),
        206: Answer("The requested range of it.", is_image=True),
        304: Answer("The client has the image already."),
    },
    *(Unauthorized, NotFound, Gone, PreconditionFailed, RangeNotSatisfiable, ContentLost),
    text="As `/images/{image_id}`. Use `format` for other formats: the end of a name is only a part of it.",
    query=(DOWNLOAD_PARAMETER,),
    headers=(*CONDITIONS, RANGE),
)
async def named_original(request: web.Request) -> web.StreamResponse:
    """The original of the image that a name shows."""
    download = queries.parameters(request, [DOWNLOAD]).get(DOWNLOAD)
    app = request.app
    with spans.during("record"):
        name = await app[NAMES].find(_name(request))
        record = await app[LIBRARY].find_whole(name.image_id)
    check_view(access.identity_of(request), record.image_id, record.visibility, record.space)
    return await send_original(request, app[LIBRARY], record, app[SETTINGS], download, is_named=True)


@endpoint(
    "point_name",
    "Make a name show an image",
    {
        200: Answer("The name shows the image, and nobody gets the one before.", NamedImage),
        201: Answer("The name is new.", NamedImage),
    },
    *(NotFound, Gone, UnsupportedImage, UnprocessableImage, InsufficientStorage, PreconditionFailed),
    text="Send an image as in `POST /images`, or JSON with the `image_id` of one that is stored already, or with the"
    " `version` to which to go back. The images that it has shown stay. A name belongs to the space of its image.",
    query=UPLOAD_PARAMETERS,
    headers=(IF_MATCH, Parameter("If-None-Match", "`*`: refuse the request (412) if the name exists.")),
    body=Form({FILE_FIELD: "The image.", **LABEL_TEXTS}, instead=NameRequest),
)
async def point(request: web.Request) -> web.Response:
    """Make a name show an image, which may come with the request: 200 with both, 201 if the name is new."""
    name, names, identity = _name(request), request.app[NAMES], access.identity_of(request)
    await _check_conditions(request, await names.check(name, identity))
    if media_types.media_type(request.headers.get("Content-Type") or _JSON).name == _JSON:
        image = await _stored(request, name)
    else:
        async with AsyncExitStack() as stack:
            upload = await received(request, stack)
            await names.check(name, identity, upload.owner.space)
            image = await upload.store()
    return _pointed(request, await names.point(name, image, identity), image)


@endpoint(
    "list_name_versions",
    "List what a name has shown",
    {200: Answer(f"The last {storage_service.names.MOST_VERSIONS} versions.", NameVersions)},
    NotFound,
)
async def versions(request: web.Request) -> web.Response:
    """What a name has shown, newest first."""
    queries.parameters(request)
    found = await request.app[NAMES].versions(_name(request), access.identity_of(request).space)
    return json_answer(NameVersions(versions=[NameVersion(**version.model_dump()) for version in found]))


@endpoint(
    "remove_name",
    "Remove a name",
    {204: Answer("The name shows nothing from now on. Its images stay.")},
    NotFound,
    PreconditionFailed,
    headers=(IF_MATCH,),
)
async def remove(request: web.Request) -> web.Response:
    """Remove a name: 204."""
    queries.parameters(request)
    names, name, identity = request.app[NAMES], _name(request), access.identity_of(request)
    await _check_conditions(request, await names.find(name, identity.space))
    await names.remove(name, identity)
    return web.Response(status=204, headers={"Cache-Control": "no-store"})


async def _check_conditions(request: web.Request, name: storage_service.names.Name | None) -> None:
    """Raise PreconditionFailed if the client expects the name to show something else, or nothing."""
    if name is None:
        if "If-Match" in request.headers:
            raise PreconditionFailed("the name does not exist; send the request without If-Match to make it")
        return
    if "*" in request.headers.getall("If-None-Match", []):
        raise PreconditionFailed(f"the name {name.name} exists; send the request without If-None-Match to replace it")
    if "If-Match" in request.headers:
        check_match(request, (await request.app[LIBRARY].find(name.image_id)).sha256)


async def resolve(request: web.Request) -> web.Response:
    """Which image a name shows, for Varnish in a header, and for the transform service in the body."""
    name = await request.app[NAMES].find(_name(request))
    kept = "no-store" if name.is_changing else f"max-age={KEPT_SECONDS}"
    headers = {"Image-Id": name.image_id, KEYS_HEADER: name_key(name.name), "Cache-Control": kept}
    return web.Response(text=name.image_id, headers=headers)


async def _stored(request: web.Request, name: str) -> ImageRecord:
    """The image that a JSON body names."""
    queries.parameters(request)
    wanted = await read_json(request, request.app[SETTINGS], NameRequest)
    space = access.identity_of(request).space
    if (wanted.image_id is None) == (wanted.version is None):
        raise BadRequest("use either `image_id` or `version`")
    if wanted.version is not None:
        image_id = await request.app[NAMES].image_of(name, wanted.version, space)
    else:
        image_id = wanted.image_id or ""
    return await request.app[LIBRARY].find(image_id, space)


def _pointed(request: web.Request, pointed: Pointed, image: ImageRecord) -> web.Response:
    base = request.app[SETTINGS].link_base
    name = Name.of(pointed.name, base)
    answer = NamedImage(**dict(name), image=Image.of(image, base))
    return json_answer(answer, 201 if pointed.is_new else 200, Location=name.url)


def _name(request: web.Request) -> str:
    if "%" in request.rel_url.raw_path:
        raise BadRequest("a name has no percent-encoded characters; use a-z, A-Z, 0-9, `-`, `_`, `~`, `.` and `/`")
    return storage_service.names.checked_name(request.match_info["name"])
