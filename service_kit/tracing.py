"""OpenTelemetry traces, where OTEL_EXPORTER_OTLP_ENDPOINT says where to send them; else nothing of it is even loaded.

A request that comes with a W3C `traceparent` continues that trace. Its spans are those of Server-Timing. Sampling, the
service's name and all else are OpenTelemetry's own environment variables.
"""

import os
import time
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Middleware

from service_kit.metrics import route_of
from service_kit.middlewares import REQUEST_ID, Handler
from service_kit.spans import spans_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_WHERE = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


def is_on() -> bool:
    """Whether traces are wanted."""
    return any(os.environ.get(name) for name in _WHERE)


def setup(app: web.Application, service: str) -> None:
    """Trace the requests of `app`, if that is wanted. ValueError where the packages are missing."""
    if not is_on():
        return
    try:
        provider = _provider(service)
    except ImportError as error:
        raise ValueError(f"{_WHERE[0]} asks for traces, but {error.name} is not there; install imgsvc[otel]") from error
    app.middlewares.insert(0, _middleware(provider))

    async def flush(_app: web.Application) -> None:
        provider.shutdown()

    app.on_cleanup.append(flush)


def inject(headers: dict[str, str]) -> dict[str, str]:
    """`headers` with the trace that is under way, for a request to another service."""
    if is_on():
        from opentelemetry import propagate  # noqa: PLC0415

        propagate.inject(headers)
    return headers


def _provider(service: str) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    # What the environment says of the service's name wins.
    resource = Resource.create({"service.name": service}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _middleware(provider: "TracerProvider") -> Middleware:
    from opentelemetry import propagate, trace  # noqa: PLC0415

    tracer = provider.get_tracer("imgsvc")

    @web.middleware
    async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = {
            "http.request.method": request.method,
            "url.path": request.path,
            "url.query": request.query_string,
        }
        began = time.time_ns()
        with tracer.start_as_current_span(
            request.method,
            context=propagate.extract(request.headers),
            kind=trace.SpanKind.SERVER,
            attributes=asked,
        ) as span:
            response = await handler(request)
            route = route_of(request)
            span.update_name(f"{request.method} {route}")
            span.set_attributes(
                {
                    "http.route": route,
                    "http.response.status_code": response.status,
                    "imgsvc.request_id": request[REQUEST_ID],
                }
            )
            for name, seconds in spans_of(request).seconds.items():
                ended = began + int(seconds * 1e9)
                tracer.start_span(name, start_time=began).end(ended)
                began = ended
            return response

    return traced
