"""Assembles the transform service."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from imaging.locator import Locator
from imaging.tasks import READ_HEADER
from service_kit.http import access, middlewares, paths, purges, request_log, server, tracing
from service_kit.http.disks import Disks
from service_kit.http.health import probe_routes
from service_kit.http.metrics import metrics_route
from service_kit.processes import worker
from service_kit.spool import Spool
from transform_service.caching.places import BlobPlaces
from transform_service.caching.records import CachedLocator
from transform_service.caching.results import ResultCache
from transform_service.caching.store import create_store
from transform_service.chain import Parser, parse_presets
from transform_service.http import handlers
from transform_service.jobs import Jobs
from transform_service.levels import LevelMaker
from transform_service.looking import Looking
from transform_service.planning.plan import OutputLimits
from transform_service.renders import Renders
from transform_service.scheduling.renderers import RENDER, Renderers
from transform_service.settings import TransformSettings
from transform_service.sources.base import Tools, load_sources
from transform_service.sources.storage_client import StorageClient
from transform_service.transformer import Transformer
from transform_service.variants import Variants

RENDERERS = web.AppKey("RENDERERS", Renderers)
DISKS = web.AppKey("DISKS", Disks)


def create_app(settings: TransformSettings) -> web.Application:
    """The transform service on its own. It locates images over HTTP."""
    app = web.Application()
    middlewares.setup(app)
    tracing.setup(app, "transform")
    access.setup(app, settings, settings.publish, behind_nginx=True)
    setup(app, settings)
    app.add_routes([*handlers.routes(), web.route(purges.METHOD, paths.IMAGE, handlers.purge), metrics_route(_observe)])
    app.add_routes([web.route(purges.METHOD, paths.NAME, handlers.purge_name)])
    app.add_routes([web.post(paths.JOB_RUN, handlers.run_job)])
    app.add_routes(probe_routes("image-transform"))
    app.on_startup.append(server.freeze_objects)
    worker.preload([READ_HEADER, RENDER])
    return app


def setup(app: web.Application, settings: TransformSettings, locator: Locator | None = None) -> None:
    """Give `app` a transformer. The caller adds the routes. `locator` replaces the HTTP client and its cache."""
    load_sources()
    app[handlers.SETTINGS] = settings
    presets = parse_presets(settings.presets, max_operations=settings.max_operations)
    app[handlers.PARSER] = Parser(max_operations=settings.max_operations, presets=presets)

    async def transformer(app: web.Application) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            await _start(app, settings, locator, stack)
            yield

    app.cleanup_ctx.append(transformer)


async def _observe(app: web.Application) -> None:
    request_log.flush()
    app[RENDERERS].observe()
    await app[DISKS].observe()


async def _start(
    app: web.Application, settings: TransformSettings, locator: Locator | None, stack: contextlib.AsyncExitStack
) -> None:
    spool = Spool(settings.spool_dir)
    spool.prepare()
    sources_folder = settings.source_cache_dir or settings.spool_dir / "sources"
    app[DISKS] = Disks({"spool": settings.spool_dir, "sources": sources_folder})
    store = create_store(settings)
    stack.push_async_callback(store.close)
    cache = ResultCache(store, settings.result_cache_entry_bytes, settings.render_seconds)
    renderers = app[RENDERERS] = Renderers(settings)
    await renderers.start()
    stack.push_async_callback(renderers.close)
    if locator is None:
        places = BlobPlaces(settings)
        client = StorageClient(settings.storage_url, settings.storage_seconds, places)
        stack.push_async_callback(client.close)
        app[access.AUTHORITY] = client
        locator = app[handlers.RECORDS] = CachedLocator(client, store, places)
    tools = Tools(settings, locator, spool, renderers)
    sources = {name: source(tools) for name, source in load_sources().items()}
    for source in sources.values():
        await source.start()
        stack.push_async_callback(source.close)
    app[handlers.SPOOL], app[handlers.SOURCES], app[handlers.RESULTS] = spool, sources, cache
    levels = LevelMaker(renderers, spool, OutputLimits(settings.max_pixels, settings.max_output_side))
    stack.push_async_callback(levels.close)
    renders = Renders(renderers, spool, levels, settings.result_cache_entry_bytes)
    variants = Variants(locator, spool)
    stack.callback(asyncio.create_task(variants.note_use_for_ever()).cancel)
    stack.push_async_callback(variants.close)
    transformer = app[handlers.TRANSFORMER] = Transformer(settings, renderers, cache, variants, renders)
    stored = sources[handlers.STORED]
    looking = Looking(transformer, renders, renderers, spool)
    runner = app[handlers.JOBS] = Jobs(
        stored, levels, looking, transformer, renders=renders, variants=variants, max_operations=settings.max_operations
    )
    stack.push_async_callback(runner.close)
