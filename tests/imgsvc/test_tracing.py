"""Traces, as OpenTelemetry's exporter sends them to a collector."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from service_kit.http.server import Runner, listen
from tests import pictures, servers

_TRACE, _PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """A collector that keeps every span."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []

    async def receive(self, request: web.Request) -> web.Response:
        """Receive an export."""
        export = ExportTraceServiceRequest.FromString(await request.read())
        self.spans += [span for part in export.resource_spans for scope in part.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector, app = Collector(), web.Application()
    app.router.add_post("/v1/traces", collector.receive)
    runner = Runner(app)
    await runner.setup()
    collector.url = await listen(runner, "127.0.0.1", 0)
    yield collector
    await runner.cleanup()


async def test_a_request_continues_the_trace_of_its_client(
    tmp_path: Path, http: aiohttp.ClientSession, collector: Collector
) -> None:
    # This process runs the collector and waits for the service to stop, so the last export has to time out.
    tracing = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with servers.serve(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **tracing) as served:
        body = bytes(pictures.noise(300, 200).jpegsave_buffer())
        async with http.post(f"{served.url}/v1/images", data=body, headers={"Content-Type": "image/jpeg"}) as response:
            image_id = (await response.json())["image_id"]
        headers = {"traceparent": f"00-{_TRACE}-{_PARENT}-01", "X-Request-ID": "of-the-client"}
        async with http.get(f"{served.url}/v1/images/{image_id}.webp?thumb=100", headers=headers) as response:
            assert response.status == 200
        while not (found := [span for span in collector.spans if span.trace_id.hex() == _TRACE]):
            async with http.get(f"{served.url}/v1/images/healthcheck") as response:
                await response.read()
    (request,) = [span for span in found if span.parent_span_id.hex() == _PARENT]
    assert request.name == "GET /v1/images/{image_id}.{extension}"
    attributes = {each.key: each.value for each in request.attributes}
    assert attributes["imgsvc.request_id"].string_value == "of-the-client"
    assert attributes["http.response.status_code"].int_value == 200
    parts = [span for span in found if span.parent_span_id == request.span_id]
    assert [span.name for span in parts] == ["source", "plan", "cache", "queue", "render", "encode"]
    spent = sum(span.end_time_unix_nano - span.start_time_unix_nano for span in parts)
    assert spent <= request.end_time_unix_nano - request.start_time_unix_nano


def test_opentelemetry_is_not_loaded_unless_configured() -> None:
    code = "import sys, imgsvc.embedded; print([name for name in sys.modules if 'opentelemetry' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=servers.ROOT)
    assert done.stdout == "[]\n"


async def test_a_signature_is_not_traced(tmp_path: Path, http: aiohttp.ClientSession, collector: Collector) -> None:
    tracing = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with servers.serve(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **tracing) as served:
        url = f"{served.url}/v1/images/{'0' * 32}.webp?thumb=9&key={'0' * 12}&signature={'S' * 43}"
        async with http.get(url, headers={"traceparent": f"00-{_TRACE}-{_PARENT}-01"}) as response:
            assert response.status == 403
        while not (found := [span for span in collector.spans if span.trace_id.hex() == _TRACE]):
            async with http.get(f"{served.url}/v1/images/healthcheck") as response:
                await response.read()
    queries = [attribute.value.string_value for attribute in found[0].attributes if attribute.key == "url.query"]
    assert queries == [f"thumb=9&key={'0' * 12}&signature=-"]
    assert b"SSSS" not in found[0].SerializeToString()
