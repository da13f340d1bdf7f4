"""Health checks for load balancers and orchestrators."""

from collections.abc import Iterable

from aiohttp import web

from service_kit.http.endpoints import Answer, endpoint
from service_kit.http.json_bodies import JsonAnswer, json_answer

LIVE, READY = "/healthz", "/readyz"
"""The paths that orchestrators request by default, the same on every part."""
CHECK = "/healthcheck"
"""The end of the paths that name a service of the API."""


class Health(JsonAnswer):
    """That a service works."""

    service: str
    status: str
    """`okay`."""


def health_route(path: str, service: str) -> web.RouteDef:
    """A route that answers 200 as long as the event loop runs.

    A service listens when it has started, and stops listening before it stops, so one that answers is ready.
    """

    @endpoint(f"check_{service.rpartition('-')[2]}", f"Check that {service} works", {200: Answer("It works.", Health)})
    async def healthcheck(_request: web.Request) -> web.Response:
        return json_answer(Health(service=service, status="okay"))

    return web.get(path, healthcheck)


def probe_routes(service: str) -> Iterable[web.RouteDef]:
    """The routes for the probes of orchestrators."""
    return (health_route(path, service) for path in (LIVE, READY))


def is_check(path: str) -> bool:
    """Whether a path is that of a health check."""
    return path.endswith(CHECK) or path in {LIVE, READY}
