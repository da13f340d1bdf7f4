"""Metrics in Prometheus' text format at `/metrics`, for the operator's network, never for clients.

Every label has a fixed set of values: clients cannot add any.
"""

import functools
import os
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import hdrs, web
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from service_kit.http import paths
from service_kit.processes.memory import available_memory, used_memory

PATH = "/metrics"
_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The folder in which the processes of a service share their counts (prometheus_client's own variable)."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""From a cached result to a render at its deadline."""

Refresh = Callable[[web.Application], Awaitable[None]]
"""Updates gauges just before they are read."""

_REQUESTS = Counter("imgsvc_requests", "Requests answered.", ["method", "route", "status"])
_DURATIONS = Histogram(
    "imgsvc_request_duration_seconds",
    "Time from the end of the request headers to the end of the response.",
    ["method", "route"],
    buckets=_SECONDS,
)
_SPANS = Histogram(
    "imgsvc_request_span_duration_seconds",
    "Time of each span of a request, as in Server-Timing.",
    ["span"],
    buckets=_SECONDS,
)
_RECEIVED = Counter("imgsvc_request_bytes", "Bytes of request bodies received.", ["route"])
_SENT = Counter("imgsvc_response_bytes", "Bytes of responses sent, including headers.", ["route"])
IN_PROGRESS = Gauge("imgsvc_requests_in_progress", "Requests in progress.", multiprocess_mode="livesum")

CONNECTIONS = Gauge("imgsvc_connections", "Connections open.", multiprocess_mode="livesum")
CONNECTIONS_ENDED = Counter(
    "imgsvc_connections_ended",
    "Connections that the service refused or closed: because the headers did not arrive in time (headers), the client"
    " did not read (send), or MAX_CONNECTIONS was reached: the new one (crowded), or instead an idle one (idle) or one"
    " without complete headers (half).",
    ["reason"],
)
EVENT_LOOP_LAG = Histogram(
    "imgsvc_event_loop_lag_seconds",
    "How late the event loop was, measured ten times a second. Meanwhile, every client waits.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
for _reason in ("headers", "send", "crowded", "idle"):
    CONNECTIONS_ENDED.labels(_reason)  # a series that begins with its first count has no increase


def count_request(  # noqa: PLR0917
    method: str, route: str, status: int, received: int, sent: int, seconds: float, spans: dict[str, float]
) -> None:
    """Count a request. `route` comes from route_of. `sent` includes headers."""
    requests, durations, sent_bytes = _metrics_for(method if method in hdrs.METH_ALL else "other", route, status)
    requests.inc()
    durations.observe(seconds)
    sent_bytes.inc(sent)
    if received:
        _RECEIVED.labels(route).inc(received)
    for name, spent in spans.items():
        _span_metric(name).observe(spent)


@functools.cache
def _metrics_for(method: str, route: str, status: int) -> tuple[Counter, Histogram, Counter]:
    """The metrics with these labels. Cached, since looking them up takes longer than counting."""
    return _REQUESTS.labels(method, route, status), _DURATIONS.labels(method, route), _SENT.labels(route)


@functools.cache
def _span_metric(name: str) -> Histogram:
    return _SPANS.labels(name)


def route_of(request: web.BaseRequest) -> str:
    """The pattern of the route that handles a request, or `none`."""
    info = getattr(request, "_match_info", None)  # `match_info` fails if the request was not valid HTTP
    resource = None if info is None else info.route.resource  # `info` is falsy if the path has no variables
    return "none" if resource is None else paths.route_pattern(resource.canonical)


def metrics_route(*refresh: Refresh) -> web.RouteDef:
    """The route for Prometheus. Each `refresh` runs before every response."""

    async def metrics(request: web.Request) -> web.Response:
        for each in refresh:
            await each(request.app)
        body = generate_latest(_registry())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})

    return web.get(PATH, metrics)


def _registry() -> CollectorRegistry:
    """The metrics of this process, or of all processes that share a folder."""
    if _MULTIPROCESS not in os.environ:
        return REGISTRY
    shared = CollectorRegistry()
    multiprocess.MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    shared.register(_MEMORY)
    return shared


class _ContainerMemory(Collector):
    """The memory of this process's control group: that of its container, if it runs in one."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See Collector."""
        used = used_memory()
        if used is not None:
            yield GaugeMetricFamily(
                "imgsvc_container_memory_bytes", "Memory of the container in use, without cached files.", used
            )
        yield GaugeMetricFamily(
            "imgsvc_container_memory_limit_bytes", "Memory limit of the container.", available_memory()
        )


_MEMORY = _ContainerMemory()
REGISTRY.register(_MEMORY)
