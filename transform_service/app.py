"""Puts the transform service together."""

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from service_kit import access, middlewares, paths, purges, server, tracing, worker
from service_kit.images import Locator
from service_kit.metrics import metrics_route
from service_kit.spool import Spool
from transform_service import handlers, render_pool
from transform_service.cache_store import create_store
from transform_service.chain import parse_presets
from transform_service.record_cache import CachedLocator
from transform_service.render_pool import RenderPool
from transform_service.result_cache import ResultCache
from transform_service.settings import TransformSettings
from transform_service.sources.base import Tools, load_sources
from transform_service.storage_client import StorageClient
from transform_service.transformer import Transformer

POOL = web.AppKey("POOL", RenderPool)


def create_app(settings: TransformSettings) -> web.Application:
    """The transform service alone; it asks the storage service over HTTP."""
    app = web.Application()
    middlewares.setup(app)
    tracing.setup(app, "transform")
    setup(app, settings)
    app.add_routes([*handlers.routes(), web.route(purges.METHOD, paths.IMAGE, handlers.purge), metrics_route(_observe)])
    app.on_startup.append(server.settle)
    worker.preload([render_pool.PRELOAD])
    return app


def setup(app: web.Application, settings: TransformSettings, locator: Locator | None = None) -> None:
    """Give `app` a transformer; the routes are the caller's choice. `locator` replaces the HTTP client."""
    load_sources()
    app[handlers.SETTINGS] = settings
    app[handlers.PRESETS] = parse_presets(settings.presets, max_operations=settings.max_operations)

    async def transformer(app: web.Application) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            await _start(app, settings, locator, stack)
            yield

    app.cleanup_ctx.append(transformer)


async def _observe(app: web.Application) -> None:
    access.settle()
    app[POOL].observe()


async def _start(
    app: web.Application, settings: TransformSettings, locator: Locator | None, stack: contextlib.AsyncExitStack
) -> None:
    spool = Spool(settings.spool_dir)
    spool.prepare()
    store = create_store(settings.result_cache_url, settings.result_cache_bytes)
    stack.push_async_callback(store.close)
    cache = ResultCache(store, settings.result_cache_entry_bytes, settings.render_seconds)
    pool = RenderPool(settings)
    await pool.start()
    stack.push_async_callback(pool.close)
    app[POOL] = pool
    if locator is None:
        client = StorageClient(settings.storage_url, settings.storage_seconds)
        stack.push_async_callback(client.close)
        locator = app[handlers.RECORDS] = CachedLocator(client, store)
    kinds = {name: kind(Tools(settings, locator, spool, pool)) for name, kind in load_sources().items()}
    for kind in kinds.values():
        await kind.start()
        stack.push_async_callback(kind.close)
    app[handlers.SPOOL], app[handlers.KINDS], app[handlers.RESULTS] = spool, kinds, cache
    app[handlers.TRANSFORMER] = Transformer(settings, pool, cache, spool, kinds["image_id"])
