"""The HTTP API of the transform service: chooses source and format, and sends the result."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from imaging.formats import EXTENSIONS, Format
from service_kit import usage
from service_kit.errors import (
    BadGateway,
    BadRequest,
    GatewayTimeout,
    Gone,
    NotAcceptable,
    NotFound,
    PreconditionFailed,
    ServiceError,
    Unauthorized,
    UnprocessableImage,
    UnsupportedImage,
    URITooLong,
)
from service_kit.http import access, paths, queries
from service_kit.http.attachments import attachment
from service_kit.http.delivery import (
    FILE_CONDITIONS,
    caching_for,
    check_match,
    guard_headers,
    image_headers,
    is_unchanged,
    not_modified,
    send_stream,
)
from service_kit.http.endpoints import CONDITIONS, DOWNLOAD_PARAMETER, Answer, Form, Handler, Parameter, endpoint
from service_kit.http.health import health_route
from service_kit.http.json_bodies import read_json
from service_kit.http.purges import CONTENT_HEADER, DAMAGED, REASON_HEADER
from service_kit.http.uploads import FILE_FIELD, read_form
from service_kit.ids import checked_image_id
from service_kit.jobs import Job
from service_kit.observing import spans
from service_kit.parameters import DOWNLOAD
from service_kit.spool import Spool, Spooled
from service_kit.usage import Outcome
from transform_service.caching.records import CachedLocator
from transform_service.caching.results import ResultCache
from transform_service.chain import FORMAT, Chain, Parser
from transform_service.http import policy
from transform_service.http.negotiation import AUTO, negotiated, requested_format
from transform_service.jobs import Jobs
from transform_service.planning.plan import Planned
from transform_service.result import Result, Timings
from transform_service.settings import TransformSettings
from transform_service.sources.base import Source, SourceImage
from transform_service.transformer import Transformer

TRANSFORMER = web.AppKey("TRANSFORMER", Transformer)
SOURCES = web.AppKey("SOURCES", dict[str, Source])
SPOOL = web.AppKey("SPOOL", Spool)
SETTINGS = web.AppKey("SETTINGS", TransformSettings)
RECORDS = web.AppKey("RECORDS", CachedLocator)
JOBS = web.AppKey("JOBS", Jobs)
RESULTS = web.AppKey("RESULTS", ResultCache)
PARSER = web.AppKey("PARSER", Parser)

STORED = "image_id"
"""The source of overlays."""
_CACHE_STATUS = {"miss": "imgsvc; fwd=miss", **dict.fromkeys(("hit", "waited", "stored"), "imgsvc; hit")}
_CHANGING_SECONDS = 3600
"""How long a client may keep a variant that depends on what is said about the image. Our own caches drop it at once."""
_NOT_RENDERED = {"original": Outcome.FILE, "stored": Outcome.VARIANT}

_ACCEPT = Parameter("Accept", "With the format `auto`: the formats that the client can show.")


def _variant(name: str, summary: str, *errors: type[ServiceError], **more: Any) -> Callable[[Handler], Handler]:
    """Describe a handler that returns variants."""
    unchanged = {} if more.get("body") else {304: Answer("The client has the picture already.")}
    return endpoint(
        name,
        summary,
        {200: Answer("The picture.", is_image=True), **unchanged},
        *(Unauthorized, NotFound, NotAcceptable, PreconditionFailed, URITooLong, UnsupportedImage, UnprocessableImage),
        *errors,
        takes_chain=True,
        query=(
            Parameter("format", f"The format, like an extension: {', '.join((*EXTENSIONS, AUTO))}."),
            DOWNLOAD_PARAMETER,
        ),
        headers=(*CONDITIONS, _ACCEPT),
        **more,
    )


@dataclass(frozen=True, slots=True)
class _Output:
    """The format of a response, and the headers (`Vary`) that its choice requires."""

    format: Format
    headers: dict[str, str]


def routes() -> list[web.RouteDef]:
    """The routes that return variants."""
    return [
        health_route(paths.TRANSFORM + "/healthcheck", "image-transform"),
        web.get(paths.IMAGE, stored_variant),
        web.get(paths.VARIANT, stored_variant),
        web.get(paths.NAME, named_variant),
        web.get(paths.TRANSFORM, transform_named),
        web.post(paths.TRANSFORM, transform_posted),
    ]


@_variant(
    "get_variant",
    "Get an image in another format",
    Gone,
    text="Such as `/images/ID.webp?rotate=90&thumb=300`: operations run from left to right. A page that sends them in"
    " another order, as this one may, asks for another picture.",
)
async def stored_variant(request: web.Request) -> web.StreamResponse:
    """A variant of a stored image: the path has the format, the query has the chain."""
    chain = _chain(request)
    extension = request.match_info.get("extension")
    return await _respond(request, STORED, request.match_info["image_id"], chain, extension)


@_variant(
    "get_named_variant",
    "Get a variant of the image that a name shows",
    Gone,
    text="With operations (`/names/NAME?thumb=300`), a picture in the format of the original, or in that of `format`.",
)
async def named_variant(request: web.Request) -> web.StreamResponse:
    """A variant of the image that a name shows."""
    if "%" in request.rel_url.raw_path:
        raise NotFound("the name does not exist; names have no percent-encoded characters")
    chain = _chain(request)
    image_id = await request.app[SOURCES][STORED].tools.locator.named(request.match_info["name"])
    return await _respond(request, STORED, image_id, chain, is_named=True)


@_variant(
    "transform",
    "Transform an image that the query names",
    Gone,
    BadGateway,
    GatewayTimeout,
    text="The query names exactly one image.",
    names_source=True,
)
async def transform_named(request: web.Request) -> web.StreamResponse:
    """A variant of an image that the query names."""
    in_url = [name for name, source in request.app[SOURCES].items() if source.in_url]
    chain = _chain(request, *in_url)
    name, value = _one_source({name: chain.parameters[name] for name in in_url if name in chain.parameters}, in_url)
    return await _respond(request, name, value, chain)


@_variant(
    "transform_upload",
    "Transform an image without storing it",
    Gone,
    BadGateway,
    GatewayTimeout,
    text="The form has exactly one of the fields.",
    names_source=True,
    body=Form({}),
)
async def transform_posted(request: web.Request) -> web.StreamResponse:
    """A variant of an image that the form contains or names."""
    chain = _chain(request)
    async with AsyncExitStack() as stack:
        with spans.during("receive"):
            form = await stack.enter_async_context(
                read_form(
                    request, request.app[SPOOL], request.app[SETTINGS], request.app[SOURCES].keys(), urlencoded=True
                )
            )
        given: dict[str, str | Spooled] = {**form.texts}
        if form.file:  # a form in a page sends all of its fields
            given = {name: text for name, text in form.texts.items() if text} | {FILE_FIELD: form.file}
        name, value = _one_source(given, request.app[SOURCES].keys())
        return await _respond(request, name, value, chain)


async def purge(request: web.Request) -> web.Response:
    """Remove an image from the caches: 204 when that is done. The storage service requests it (purges.py)."""
    image_id = checked_image_id(request.match_info["image_id"])
    if request.headers.get(REASON_HEADER) == DAMAGED:
        await request.app[RECORDS].drop(image_id)
    else:
        await request.app[RECORDS].forget(image_id)
    if content := request.headers.get(CONTENT_HEADER):
        await forget_content(request.app, content)
    return web.Response(status=204)


async def purge_name(_request: web.Request) -> web.Response:
    """A name shows another image: 204. This service remembers no names."""
    return web.Response(status=204)


async def run_job(request: web.Request) -> web.Response:
    """Do a job: 204 when it is done. The jobs service requests it."""
    await request.app[JOBS].run(await read_json(request, request.app[SETTINGS], Job))
    return web.Response(status=204)


async def forget_content(app: web.Application, content: str) -> None:
    """Remove all that this process and the caches keep of `content`, a SHA-256."""
    await app[RESULTS].forget(content)
    for source in app[SOURCES].values():
        await source.forget(content)


async def _respond(
    request: web.Request,
    name: str,
    value: str | Spooled,
    chain: Chain,
    extension: str | None = None,
    *,
    is_named: bool = False,
) -> web.StreamResponse:
    viewer = access.identity_of(request)
    guard = policy.check(request.app[SETTINGS], viewer, queries.chain_of(request))
    requested = requested_format(extension, chain.parameters.get(FORMAT))
    transformer = request.app[TRANSFORMER]
    async with AsyncExitStack() as stack:
        with spans.during("source"):
            image = await stack.enter_async_context(request.app[SOURCES][name].open(value, viewer))
        output = _output(request, requested, image, transformed=bool(chain.operations))
        planned = await transformer.plan(image, chain, output.format)
        if planned.plan:
            spans.lap("plan")
        # Even for cached results: one of the overlays may have been deleted since.
        stored = request.app[SOURCES][STORED]
        overlays = [await stack.enter_async_context(stored.open(each, viewer)) for each in planned.overlays]
        guard = policy.combined([guard, image.guard, *(overlay.guard for overlay in overlays)])
        ends = [each.expires_at for each in (image, *overlays) if each.expires_at]
        caching = caching_for(image.caching, guard, viewer, min(ends, default=None))
        if any(operation.may_change() for operation in chain.operations):
            caching = caching.within(_CHANGING_SECONDS)
        if is_named:
            caching = caching.changing()
        viewed = replace(image, guard=guard, caching=caching)
        headers = _headers(request, viewed, planned, output, chain.parameters.get(DOWNLOAD))
        headers |= guard_headers(guard, viewer)
        if request.method != "POST":
            headers[usage.HEADER] = usage.header(Outcome.RESULT, 0, planned.chain)
        check_match(request, planned.key)
        if is_unchanged(request, planned.key):
            return not_modified(headers)
        result = await transformer.render(image, planned, overlays)
        if usage.HEADER in headers:
            headers[usage.HEADER] = usage.header(_outcome(result.timings), _rendered(), planned.chain)
        if result.timings.source in _CACHE_STATUS:
            headers["Cache-Status"] = _CACHE_STATUS[result.timings.source]
        if accelerated := _accelerated(request, result):
            return web.Response(headers={**headers, "X-Accel-Redirect": accelerated})
        if result.body is not None:
            return web.Response(body=result.body, headers=headers)
        response = web.StreamResponse(headers=headers)
        response.content_length = result.size
        return await send_stream(request, response, result.chunks())


def _headers(
    request: web.Request,
    image: SourceImage,
    planned: Planned,
    output: _Output,
    download: str | None,
) -> dict[str, str]:
    shown = [*([image.image_id] if image.image_id else []), *planned.overlays]
    if request.method == "POST":  # no cache keeps it
        shown = []
    fmt = output.format
    disposition = None if download is None else attachment(download, image.stem, fmt.extensions, EXTENSIONS)
    return image_headers(planned.key, fmt.media_type, image.caching, shown, disposition) | output.headers


def _accelerated(request: web.Request, result: Result) -> str | None:
    """The path under which nginx sends a stored variant; None if this service has to send the result."""
    settings, folder, file = request.app[SETTINGS], request.app[SETTINGS].blob_folder, result.stored
    if not settings.accel_prefix or folder is None or file is None or not file.is_relative_to(folder):
        return None
    if request.method != "GET" or any(name in request.headers for name in FILE_CONDITIONS):
        return None
    return settings.accel_prefix + str(file.relative_to(folder))


def _outcome(timings: Timings) -> Outcome:
    if timings.source in _NOT_RENDERED:
        return _NOT_RENDERED[timings.source]
    if not _rendered():
        return Outcome.RESULT
    return Outcome.LEVEL if timings.level else Outcome.RENDER


def _rendered() -> float:
    """The seconds that this request's own render took."""
    seconds = spans.current().seconds
    return seconds.get("render", 0.0) + seconds.get("encode", 0.0)


def _chain(request: web.Request, *reserved: str) -> Chain:
    return request.app[PARSER].parse(queries.chain_of(request), reserved)


def _output(request: web.Request, requested: Format | str | None, image: SourceImage, *, transformed: bool) -> _Output:
    original = image.header.image_format
    if isinstance(requested, Format):
        return _Output(requested, {})
    if requested is None:
        return _Output(original.output if transformed else original, {})
    animated = original.animated and image.header.frames > 1
    accepts = request.headers.getall("Accept", [])
    return _Output(negotiated(accepts, original.output, animated=animated), {"Vary": "Accept"})


def _one_source(given: Mapping[str, str | Spooled], names: Iterable[str]) -> tuple[str, str | Spooled]:
    if len(given) != 1:
        found = f"several images ({', '.join(given)})" if given else "no image"
        raise BadRequest(f"the request names {found}; use exactly one of: {', '.join(sorted(names))}")
    return next(iter(given.items()))
