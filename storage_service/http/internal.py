"""What the transform service asks of the storage service: where an image is, and what is derived from it."""

from aiohttp import web
from pydantic import BaseModel

from imaging.locator import NewVariant
from imaging.looks import Look
from service_kit.errors import BadRequest
from service_kit.http import paths
from service_kit.http.json_bodies import read_json
from service_kit.http.uploads import read_file
from service_kit.observing import spans
from storage_service.http.receiving import LIBRARY, SETTINGS, SPOOL

_NO_STORE = {"Cache-Control": "no-store"}
_LARGEST_LEVEL = 64 * 1024**2
"""Bytes of a PNG of 1920 x 1920 pixels, and much more."""
_LARGEST_VARIANT = 16 * 1024**2


class _Used(BaseModel):
    """The keys of variants that were used."""

    keys: list[str]


def routes() -> list[web.RouteDef]:
    """The routes, which are not for clients."""
    return [
        web.get(paths.LOCATION, locate),
        web.put(paths.LOOK, keep_look),
        web.put(paths.LEVEL, keep_level),
        web.delete(paths.LEVEL, drop_level),
        web.put(paths.STORED_VARIANT, keep_variant),
        web.get(paths.STORED_VARIANT, variant_url),
        web.post(paths.VARIANTS_USED, note_variants),
        web.delete(paths.STORED_VARIANT, drop_variant),
    ]


async def locate(request: web.Request) -> web.Response:
    """The header of an image and where its bytes are."""
    image_id = request.match_info["image_id"]
    try:
        fallback = request.url.with_path(paths.image_url(image_id)).with_query(None)
    except ValueError as error:
        raise BadRequest("the Host header is not valid") from error
    with spans.during("record"):
        located = await request.app[LIBRARY].locate(image_id, str(fallback))
    return web.json_response(text=located.model_dump_json(), headers=_NO_STORE)


async def keep_look(request: web.Request) -> web.Response:
    """Keep what an image looks like: 204."""
    look = await read_json(request, request.app[SETTINGS], Look)
    await request.app[LIBRARY].keep_look(request.match_info["image_id"], look)
    return web.Response(status=204)


async def keep_level(request: web.Request) -> web.Response:
    """Store a level of an image: 204."""
    app, match = request.app, request.match_info
    async with read_file(request, app[SPOOL], app[SETTINGS], _LARGEST_LEVEL, "the level") as level:
        await app[LIBRARY].keep_level(match["image_id"], int(match["side"]), level)
    return web.Response(status=204)


async def drop_level(request: web.Request) -> web.Response:
    """Remove a level of an image: 204."""
    match, digest = request.match_info, request.headers.get("If-Match", "").strip('"')
    await request.app[LIBRARY].drop_level(match["image_id"], int(match["side"]), digest)
    return web.Response(status=204)


async def keep_variant(request: web.Request) -> web.Response:
    """Store a variant of an image: 204."""
    app, match = request.app, request.match_info
    async with read_file(request, app[SPOOL], app[SETTINGS], _LARGEST_VARIANT, "the variant") as variant:
        new = NewVariant(match["key"], request.query.get("chain", ""), variant.path, request.query.get("hot") == "1")
        await app[LIBRARY].keep_variant(match["image_id"], new, variant)
    return web.Response(status=204)


async def variant_url(request: web.Request) -> web.Response:
    """The signed URL of a variant in an object store."""
    url = await request.app[LIBRARY].variant_url(request.match_info["image_id"], request.match_info["key"])
    return web.Response(text=url, headers=_NO_STORE)


async def note_variants(request: web.Request) -> web.Response:
    """Note which variants the transform service has sent: 204."""
    used = await read_json(request, request.app[SETTINGS], _Used)
    await request.app[LIBRARY].note_variants(used.keys)
    return web.Response(status=204)


async def drop_variant(request: web.Request) -> web.Response:
    """Remove a variant of an image: 204."""
    match, digest = request.match_info, request.headers.get("If-Match", "").strip('"')
    await request.app[LIBRARY].drop_variant(match["image_id"], match["key"], digest)
    return web.Response(status=204)
