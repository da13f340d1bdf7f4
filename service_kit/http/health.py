"""Health checks for load balancers and orchestrators."""

from aiohttp import web


def health_route(path: str, service: str) -> web.RouteDef:
    """A route that answers 200 as long as the event loop runs."""

    async def healthcheck(_request: web.Request) -> web.Response:
        return web.json_response({"service": service, "status": "okay"}, headers={"Cache-Control": "no-store"})

    return web.get(path, healthcheck)
