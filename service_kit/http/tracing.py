"""OpenTelemetry traces, sent to OTEL_EXPORTER_OTLP_ENDPOINT. Without that variable, OpenTelemetry is not even loaded.

A request with a W3C `traceparent` continues that trace. Its spans are those of Server-Timing. OpenTelemetry's own
environment variables set the sampling, the name of the service and everything else.
"""

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Middleware

from service_kit import signing
from service_kit.http.identity import request_id_of
from service_kit.http.metrics import route_of
from service_kit.http.middlewares import Handler
from service_kit.http.timing import spans_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_LONGEST = 500
"""Characters. While the collector is slow, up to 2,048 spans wait in memory, and a URL may have 64 KiB."""
_ENDPOINTS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


def is_on() -> bool:
    """Whether traces are sent."""
    return any(os.environ.get(name) for name in _ENDPOINTS)


def setup(app: web.Application, service: str) -> None:
    """Trace the requests of `app` if traces are sent. Raises ValueError if the packages are missing."""
    if not is_on():
        return
    try:
        provider = _provider(service)
    except ImportError as error:
        raise ValueError(f"{_ENDPOINTS[0]} is set, but {error.name} is not installed; install imgsvc[otel]") from error
    app.middlewares.insert(0, _middleware(provider))

    async def flush(_app: web.Application) -> None:
        provider.shutdown()

    app.on_cleanup.append(flush)


def inject(headers: dict[str, str]) -> dict[str, str]:
    """Add the current trace to `headers`, for a request to another service."""
    if is_on():
        from opentelemetry import propagate  # noqa: PLC0415

        propagate.inject(headers)
    return headers


def _provider(service: str) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    # A service name in the environment takes precedence.
    resource = Resource.create({"service.name": service}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _middleware(provider: "TracerProvider") -> Middleware:
    from opentelemetry import propagate, trace  # noqa: PLC0415

    tracer = provider.get_tracer("imgsvc")

    @web.middleware
    async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
        attributes = {
            "http.request.method": request.method,
            "url.path": _text(request.path[:_LONGEST]),
            "url.query": _text(signing.redacted(request.query_string)[:_LONGEST]),
        }
        began = time.time_ns()
        with tracer.start_as_current_span(
            request.method,
            context=propagate.extract(_context(request, propagate.get_global_textmap().fields)),
            kind=trace.SpanKind.SERVER,
            attributes=attributes,
        ) as span:
            response = await handler(request)
            route = route_of(request)
            span.update_name(f"{request.method} {route}")
            span.set_attributes(
                {
                    "http.route": route,
                    "http.response.status_code": response.status,
                    "imgsvc.request_id": request_id_of(request),
                }
            )
            for name, seconds in spans_of(request).seconds.items():
                ended = began + int(seconds * 1e9)
                tracer.start_span(name, start_time=began).end(ended)
                began = ended
            return response

    return traced


def _context(request: web.Request, names: Iterable[str]) -> dict[str, str]:
    """The headers that carry a trace. OpenTelemetry fails on bytes that are not UTF-8, and logs every odd baggage."""
    found = ((name, request.headers.get(name)) for name in names if name != "baggage")
    return {name: value for name, value in found if value and value.isascii()}


def _text(text: str) -> str:
    """Text that can be sent: without what stands for bytes that are not UTF-8."""
    return text.encode(errors="replace").decode()
