"""Whatever a header, a parameter, a form or a remote server contains: never a 500, and not much processor time."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.targets import Answering, Target, embedded, logged_errors, separate, wait_until_idle
from tests.hostile.vocabulary import HEADERS, PARAMETERS, PIECES, ROUTES

_EXPECTED = {502, 503, 504, 507}
"""Errors that are not the service's own."""
_CPU_SECONDS = 0.3

_EXAMPLES = os.environ.get("EXAMPLES")
"""How many other examples to try than the 150 that are always the same. `make fuzz` sets it."""

everything = settings(
    max_examples=int(_EXAMPLES or 150),
    deadline=None,
    derandomize=not _EXAMPLES,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

texts = st.lists(
    st.one_of(
        st.sampled_from(PIECES),
        st.binary(max_size=8),
        st.tuples(st.sampled_from(PIECES), st.integers(1, 3000)).map(lambda pair: (pair[0] * pair[1])[:7000]),
    ),
    max_size=8,
).map(b"".join)
one_line = texts.map(lambda text: text.replace(b"\r", b"").replace(b"\n", b""))


@pytest.fixture(scope="module")
def remote() -> Iterator[Answering]:
    with Answering().running() as answering:
        yield answering


@pytest.fixture(scope="module")
def targets(remote: Answering, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Target]]:
    folder = tmp_path_factory.mktemp("properties")
    allowed = {
        "REMOTE_ALLOWED_NETWORKS": '["127.0.0.1/32"]',
        "REMOTE_PORTS": json.dumps([80, remote.port]),
        "REMOTE_SECONDS": "1",
        "UPLOAD_STALL_SECONDS": "0.3",
        "HEADER_SECONDS": "0.3",
        "LOG_LEVEL": "WARNING",
    }
    with ExitStack() as stack:
        whole, _ = stack.enter_context(embedded(folder / "embedded", **allowed))
        yield [whole, *stack.enter_context(separate(folder / "separate", **allowed))]


def _check(targets: list[Target], data: bytes) -> None:
    """Send a request to each service. {id} and {missing} stand for IDs of an image and of none."""
    for target in targets:
        sent = data.replace(b"{id}", target.image_id.encode()).replace(b"{missing}", b"0" * 32)
        before = target.cpu_seconds()
        status = target.send(sent)
        spent = target.cpu_seconds() - before
        assert 100 <= status < 500 or status in _EXPECTED, (target.name, status, sent[:500], _tail(target))
        assert spent < _CPU_SECONDS, (target.name, spent, sent[:500])


def _tail(target: Target) -> str:
    return target.log.read_text()[-3000:]


def _request(route: str, headers: bytes = b"", body: bytes = b"") -> bytes:
    method, _, place = route.partition(" ")
    lines = f"{method} {place} HTTP/1.1\r\n".encode() + headers
    host = b"" if b"Host:" in headers else b"Host: x\r\n"
    length = b"" if b"Content-Length:" in headers or b"Transfer-" in headers else b"Content-Length: %d\r\n" % len(body)
    return lines + host + length + b"Connection: close\r\n\r\n" + body


@everything
@given(route=st.sampled_from(ROUTES), name=st.sampled_from(HEADERS), value=one_line)
def test_any_header(targets: list[Target], route: str, name: str, value: bytes) -> None:
    _check(targets, _request(route, f"{name}: ".encode() + value + b"\r\n"))


@everything
@given(
    route=st.sampled_from(ROUTES),
    headers=st.lists(st.tuples(st.sampled_from(HEADERS), one_line), max_size=20),
    body=texts,
)
def test_any_headers_and_body(targets: list[Target], route: str, headers: list[tuple[str, bytes]], body: bytes) -> None:
    _check(targets, _request(route, b"".join(f"{name}: ".encode() + value + b"\r\n" for name, value in headers), body))


@everything
@given(head=texts)
def test_any_bytes(targets: list[Target], head: bytes) -> None:
    _check(targets, head + b"\r\n\r\n")


@everything
@given(place=st.sampled_from(PARAMETERS), text=texts, escaped=st.booleans())
def test_any_parameter_and_path(targets: list[Target], place: str, text: bytes, *, escaped: bool) -> None:
    raw = quote_from_bytes(text).encode() if escaped else text.translate(None, b" \t\r\n\0")
    _check(targets, f"GET {place}".encode() + raw + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


@everything
@given(name=st.sampled_from(["image", "url", "image_id", ""]), disposition=one_line, header=one_line, text=texts)
def test_any_part(targets: list[Target], name: str, disposition: bytes, header: bytes, text: bytes) -> None:
    part = f'--b\r\nContent-Disposition: form-data; name="{name}"; '.encode() + disposition + b"\r\n" + header
    form = b"Content-Type: multipart/form-data; boundary=b\r\n"
    for body in (part + b"\r\n\r\n" + text + b"\r\n--b--\r\n", text + part, part + b"\r\n" + text):
        _check(targets, _request("POST /v1/transform?thumb=9", form, body))


@everything
@given(name=st.sampled_from(["url", "image_id", "image", ""]), text=texts, escaped=st.booleans())
def test_any_urlencoded_field(targets: list[Target], name: str, text: bytes, *, escaped: bool) -> None:
    body = name.encode() + b"=" + (quote_from_bytes(text).encode() if escaped else text)
    form = b"Content-Type: application/x-www-form-urlencoded\r\n"
    _check(targets, _request("POST /v1/transform?thumb=9", form, body))


@everything
@given(status=st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 302 \r\nLocation: ", b""]), head=texts, body=texts)
def test_any_remote_server(targets: list[Target], remote: Answering, status: bytes, head: bytes, body: bytes) -> None:
    remote.answer = status + head + b"\r\n\r\n" + body
    transforming = [target for target in targets if target.name != "storage_service"]
    _check(transforming, _request(f"GET /v1/transform?thumb=9&url=http://127.0.0.1:{remote.port}/"))


def test_no_service_logged_a_bug(targets: list[Target]) -> None:
    """Runs last. Only the exporter of traces, which has nobody to send to, may log errors."""
    for target in targets:
        wait_until_idle(target)
        assert not logged_errors(target.log), target.name
        assert "never awaited" not in target.log.read_text()
