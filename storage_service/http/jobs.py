"""The queue of jobs over HTTP, for the jobs service. Not for clients."""

from aiohttp import web

from service_kit.http import paths
from service_kit.http.json_bodies import read_json
from service_kit.jobs import Settlement
from storage_service.http.receiving import SETTINGS
from storage_service.jobs import Jobs

JOBS = web.AppKey("JOBS", Jobs)


def routes() -> list[web.RouteDef]:
    """The routes for the jobs service."""
    return [web.post(paths.JOB_CLAIM, claim), web.post(paths.JOB_SETTLE, settle)]


async def claim(request: web.Request) -> web.Response:
    """Claim a job: 200 with it, or 204 if none is due."""
    job = await request.app[JOBS].claim()
    return web.Response(status=204) if job is None else web.json_response(text=job.model_dump_json())


async def settle(request: web.Request) -> web.Response:
    """Note how a job ended: 204."""
    await request.app[JOBS].settle(await read_json(request, request.app[SETTINGS], Settlement))
    return web.Response(status=204)
