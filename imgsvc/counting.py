"""Counts what viewers request when the service runs without Varnish, whose log would show it."""

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from service_kit import usage
from service_kit.errors import ServiceError
from storage_service.http.usage import USAGE

_SECONDS = 10.0
TALLY = web.AppKey("TALLY", usage.Tally)

logger = logging.getLogger(__name__)


def setup(app: web.Application) -> None:
    """Count responses of `app`, which has a storage service."""
    app[TALLY] = usage.Tally()
    app.cleanup_ctx.append(_adding)
    app.on_response_prepare.append(_count)


async def _count(request: web.Request, response: web.StreamResponse) -> None:
    value = response.headers.pop(usage.HEADER, None)
    if value and request.method == "GET":
        request.app[TALLY].add(value, request.match_info.get("image_id", usage.NO_IMAGE), response.content_length or 0)


async def _adding(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(_add_for_ever(app))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await add(app)


async def _add_for_ever(app: web.Application) -> None:
    while True:
        await asyncio.sleep(_SECONDS)
        await add(app)


async def add(app: web.Application) -> None:
    """Add what was counted so far. What the database does not take is lost: it matters little."""
    if batch := app[TALLY].take():
        try:
            await app[USAGE].add(batch)
        except ServiceError as error:
            logger.warning("usage of the last seconds is lost: %s", error)
        except Exception:
            logger.exception("usage of the last seconds is lost")  # go on counting
