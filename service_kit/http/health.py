"""Health checks for load balancers and orchestrators."""

from collections.abc import Iterable

from aiohttp import web

LIVE, READY = "/healthz", "/readyz"
"""The paths that orchestrators request by default, the same on every part."""
CHECK = "/healthcheck"
"""The end of the paths that name a service of the API."""


def health_route(path: str, service: str) -> web.RouteDef:
    """A route that answers 200 as long as the event loop runs.

    A service listens when it has started, and stops listening before it stops, so one that answers is ready.
    """

    async def healthcheck(_request: web.Request) -> web.Response:
        return web.json_response({"service": service, "status": "okay"}, headers={"Cache-Control": "no-store"})

    return web.get(path, healthcheck)


def probe_routes(service: str) -> Iterable[web.RouteDef]:
    """The routes for the probes of orchestrators."""
    return (health_route(path, service) for path in (LIVE, READY))


def is_check(path: str) -> bool:
    """Whether a path is that of a health check."""
    return path.endswith(CHECK) or path in {LIVE, READY}
