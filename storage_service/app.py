"""Assembles the storage service."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Sequence
from urllib.parse import parse_qs

from aiohttp import web

from imaging.tasks import READ_HEADER
from service_kit.http import middlewares, paths, request_log, server, tracing
from service_kit.http.disks import Disks
from service_kit.http.health import probe_routes
from service_kit.http.metrics import metrics_route
from service_kit.processes import worker
from service_kit.settings import secret_in
from service_kit.spool import Spool
from service_kit.urls import for_each_host, parts_of
from storage_service.blobs import Blobs
from storage_service.caches import Caches, PurgeableCache
from storage_service.http import handlers
from storage_service.library import Library
from storage_service.metadata.base import DatabaseConfig, create_store
from storage_service.purge_hook import PurgeHook
from storage_service.purging import Purger
from storage_service.settings import StorageSettings
from storage_service.sweeping import Sweeper
from storage_service.validation import Validator

PURGER = web.AppKey("PURGER", Purger)
DISKS = web.AppKey("DISKS", Disks)


def create_app(settings: StorageSettings) -> web.Application:
    """The storage service on its own, with the route that the transform service uses."""
    app = web.Application()
    middlewares.setup(app)
    tracing.setup(app, "storage")
    setup(app, settings)
    app.add_routes([*handlers.routes(), web.get(paths.LOCATION, handlers.locate), metrics_route(_observe)])
    app.add_routes(probe_routes("image-storage"))
    app.on_startup.append(server.freeze_objects)
    worker.preload([READ_HEADER])
    return app


def setup(app: web.Application, settings: StorageSettings, own_caches: Sequence[PurgeableCache] = ()) -> None:
    """Give `app` a library. The caller adds the routes. `own_caches` are those in this process."""
    app[handlers.SETTINGS] = settings
    app.cleanup_ctx.append(functools.partial(_library, own_caches=own_caches))


async def _library(app: web.Application, own_caches: Sequence[PurgeableCache]) -> AsyncIterator[None]:
    settings = app[handlers.SETTINGS]
    blobs = Blobs(settings.blobs, settings.blob_seconds)
    spool = Spool(blobs.spool_folder)
    spool.prepare()
    metadata = create_store(database_config(settings))
    app[DISKS] = Disks(
        {"blobs" if blobs.in_files else "incoming": blobs.spool_folder}
        | ({"database": metadata.folder} if metadata.folder else {})
    )
    validator = Validator(settings)
    async with contextlib.AsyncExitStack() as stack:
        await metadata.open()
        stack.push_async_callback(metadata.close)
        await validator.start()
        stack.push_async_callback(validator.close)
        caches = await stack.enter_async_context(Caches(settings.purge_urls, own_caches))
        hook = await stack.enter_async_context(PurgeHook(settings)) if settings.purge_hook_url else None
        purger = app[PURGER] = Purger(metadata, caches, hook)
        stack.push_async_callback(purger.close)
        library = Library(metadata, blobs, validator, purger)
        app[handlers.SPOOL], app[handlers.LIBRARY] = spool, library
        sweeper = Sweeper(metadata, library, spool, settings.sweep_seconds)
        stack.callback(asyncio.create_task(sweeper.run()).cancel)
        purging = asyncio.create_task(purger.run())
        stack.callback(purging.cancel)
        yield


async def _observe(app: web.Application) -> None:
    request_log.flush()
    await app[DISKS].observe()
    await app[PURGER].observe()


def database_config(settings: StorageSettings) -> DatabaseConfig:
    """How to connect to the database. A password in its URL comes first: Compose always sets the file.

    Raises CannotStart if the file with the password is needed and unreadable, ValueError if the URL is invalid.
    """
    parts = parts_of("DATABASE_URL", for_each_host(settings.database)[0])
    in_url = parts.password or "password" in parse_qs(parts.query)
    password = None if in_url else secret_in("DATABASE_PASSWORD_FILE", settings.database_password_file)
    return DatabaseConfig(
        settings.database,
        password,
        settings.database_pool,
        settings.database_lock_pool,
        prepared_statements=settings.database_prepared_statements,
    )
