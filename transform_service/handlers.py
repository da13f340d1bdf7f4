"""HTTP of the transform service: which source, which format, which headers."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from aiohttp import web

from service_kit import paths
from service_kit.delivery import image_headers, is_unchanged, not_modified, send_stream
from service_kit.errors import BadRequest
from service_kit.formats import Format, by_extension
from service_kit.health import health_route
from service_kit.ids import checked_image_id
from service_kit.purges import CONTENT_HEADER
from service_kit.spans import Spans, spans_of
from service_kit.spool import Spool, Spooled
from service_kit.uploads import read_form
from transform_service.chain import Chain, parse
from transform_service.negotiation import negotiated
from transform_service.operations.base import Steps
from transform_service.record_cache import CachedLocator
from transform_service.rendition import Rendition
from transform_service.result_cache import ResultCache
from transform_service.settings import TransformSettings
from transform_service.sources.base import SOURCES, Source, SourceKind
from transform_service.transformer import Transformer

TRANSFORMER = web.AppKey("TRANSFORMER", Transformer)
KINDS = web.AppKey("KINDS", dict[str, SourceKind])
SPOOL = web.AppKey("SPOOL", Spool)
SETTINGS = web.AppKey("SETTINGS", TransformSettings)
RECORDS = web.AppKey("RECORDS", CachedLocator)
RESULTS = web.AppKey("RESULTS", ResultCache)
PRESETS = web.AppKey("PRESETS", Mapping[str, Steps])

_AUTO = "auto"
"""In place of a format: whichever the client likes best."""


@dataclass(frozen=True, slots=True)
class _Output:
    """The format of an answer, and the headers that say what it depends on."""

    format: Format
    headers: dict[str, str]


def routes() -> list[web.RouteDef]:
    """The routes of conversions and transforms in the HTTP contract."""
    return [
        health_route(paths.TRANSFORM + "/healthcheck", "image-transform"),
        web.get(paths.IMAGE, stored_variant),
        web.get(paths.VARIANT, stored_variant),
        web.get(paths.TRANSFORM, transform_named),
        web.post(paths.TRANSFORM, transform_posted),
    ]


async def stored_variant(request: web.Request) -> web.StreamResponse:
    """A stored image, converted by the path's extension and transformed by the query."""
    chain = _chain(request)
    extension = request.match_info.get("extension")
    return await _answer(request, "image_id", request.match_info["image_id"], chain, extension)


async def transform_named(request: web.Request) -> web.StreamResponse:
    """An image named in the query, transformed."""
    in_url = [name for name, kind in SOURCES.items() if kind.in_url]
    chain = _chain(request, *in_url)
    name, value = _one_source({name: chain.parameters[name] for name in in_url if name in chain.parameters})
    return await _answer(request, name, value, chain)


async def transform_posted(request: web.Request) -> web.StreamResponse:
    """An image that is in the form or is named by it, transformed."""
    spans = spans_of(request)
    chain = _chain(request)
    async with AsyncExitStack() as stack:
        with spans.during("receive"):
            form = await stack.enter_async_context(read_form(request, request.app[SPOOL], request.app[SETTINGS]))
        given: dict[str, str | Spooled] = {name: text for name, text in form.texts.items() if name in SOURCES}
        if form.file:
            given["image"] = form.file
        name, value = _one_source(given)
        return await _answer(request, name, value, chain)


async def purge(request: web.Request) -> web.Response:
    """204: nothing of the image is in the caches any more. From the storage service, when the image was deleted."""
    await request.app[RECORDS].forget(checked_image_id(request.match_info["image_id"]))
    if content := request.headers.get(CONTENT_HEADER):
        await request.app[RESULTS].forget(content)
    return web.Response(status=204)


async def _answer(
    request: web.Request, name: str, value: str | Spooled, chain: Chain, extension: str | None = None
) -> web.StreamResponse:
    spans = spans_of(request)
    asked = _asked_format(extension, chain.parameters.get("format"))
    async with AsyncExitStack() as stack:
        with spans.during("source"):
            source = await stack.enter_async_context(request.app[KINDS][name].open(value))
        output = _output(request, asked, source)
        if not chain.operations and output.format is source.header.kind:
            return await _send_untouched(request, source, output)
        return await _send_transformed(request, source, chain, output, spans)


async def _send_transformed(
    request: web.Request, source: Source, chain: Chain, output: _Output, spans: Spans
) -> web.StreamResponse:
    transformer = request.app[TRANSFORMER]
    planned = await transformer.plan(source, chain.operations, output.format)
    spans.lap("plan")
    shown = [*([source.image_id] if source.image_id else []), *planned.plan.overlays]
    headers = image_headers(planned.key, output.format.content_type, source.cache_control, shown) | output.headers
    if is_unchanged(request, planned.key):
        return not_modified(headers)
    rendition = await transformer.render(source, planned, spans)
    headers["Cache-Status"] = "imgsvc; fwd=miss" if rendition.timings.source == "miss" else "imgsvc; hit"
    if rendition.body is not None:
        return web.Response(body=rendition.body, headers=headers)
    return await _send(request, rendition, headers)


async def _send_untouched(request: web.Request, source: Source, output: _Output) -> web.StreamResponse:
    shown = [source.image_id] if source.image_id else []
    headers = image_headers(source.sha256, output.format.content_type, source.cache_control, shown) | output.headers
    if is_unchanged(request, source.sha256):
        return not_modified(headers)
    async with source.local() as path:
        if source.is_old:
            await source.confirm()
        return await _send(request, Rendition.from_file(path), headers)


async def _send(request: web.Request, rendition: Rendition, headers: Mapping[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers=headers)
    response.content_length = rendition.size
    return await send_stream(request, response, rendition.chunks())


def _chain(request: web.Request, *reserved: str) -> Chain:
    query = request.raw_path.partition("?")[2]
    limit = request.app[SETTINGS].max_operations
    return parse(query, max_operations=limit, reserved=reserved, presets=request.app[PRESETS])


def _asked_format(extension: str | None, parameter: str | None) -> Format | str | None:
    """The format that path or query ask for, `_AUTO`, or None where they do not."""
    asked = {_AUTO if text == _AUTO else by_extension(text) for text in (extension, parameter) if text is not None}
    if len(asked) > 1:
        raise BadRequest(f"the path asks for {extension}, format= for {parameter}; give one of them")
    return next(iter(asked), None)


def _output(request: web.Request, asked: Format | str | None, source: Source) -> _Output:
    original = source.header.kind
    if asked != _AUTO:
        return _Output(asked if isinstance(asked, Format) else original, {})
    animated = original.animated and source.header.frames > 1
    accepts = request.headers.getall("Accept", [])
    return _Output(negotiated(accepts, original, animated=animated), {"Vary": "Accept"})


def _one_source(given: Mapping[str, str | Spooled]) -> tuple[str, str | Spooled]:
    if len(given) != 1:
        found = f"there are {', '.join(given)}" if given else "there is none"
        raise BadRequest(f"name exactly one image, by one of: {', '.join(sorted(SOURCES))}; {found}")
    return next(iter(given.items()))
