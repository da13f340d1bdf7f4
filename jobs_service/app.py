"""Assembles the jobs service."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from jobs_service.clients import RemoteQueue, RemoteRunner
from jobs_service.dispatcher import Dispatcher
from jobs_service.settings import JobsSettings
from service_kit.http import middlewares, request_log, tracing
from service_kit.http.health import probe_routes
from service_kit.http.metrics import metrics_route


def create_app(settings: JobsSettings) -> web.Application:
    """A dispatcher between the other services, with health checks and metrics."""
    app = web.Application()
    middlewares.setup(app)
    tracing.setup(app, "jobs")
    app.add_routes([metrics_route(_observe), *probe_routes("image-jobs")])
    app.cleanup_ctx.append(functools.partial(_dispatching, settings=settings))
    return app


async def _dispatching(_app: web.Application, settings: JobsSettings) -> AsyncIterator[None]:
    # A new connection for each request, so that all nodes get some.
    connector = aiohttp.TCPConnector(force_close=True, resolver=aiohttp.ThreadedResolver())
    async with aiohttp.ClientSession(connector=connector) as http:
        queue, runner = RemoteQueue(http, settings.storage_url), RemoteRunner(http, settings.transform_url)
        async with running(Dispatcher(queue, runner, settings.jobs_at_once)):
            yield


@contextlib.asynccontextmanager
async def running(dispatcher: Dispatcher) -> AsyncIterator[None]:
    """Run a dispatcher for the time of the context. At its end, jobs in progress are given back."""
    task = asyncio.create_task(dispatcher.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _observe(_app: web.Application) -> None:
    request_log.flush()
