"""What a process counts, in Prometheus' text format at `/metrics`; for the operator's network, never for clients."""

from aiohttp import web
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

PATH = "/metrics"


def metrics_route() -> web.RouteDef:
    """The route that Prometheus asks."""
    return web.get(PATH, _metrics)


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(
        body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}
    )
