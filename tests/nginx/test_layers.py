"""HTTP in every layer: ranges, conditions, and answers that do not wait for a body."""

import asyncio
import json
import time
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest

from tests.nginx.conftest import LIMIT, STALL_SECONDS, Layer

UNSATISFIABLE = ("bytes=999999-", "bytes=999999-9999999", "bytes=-0", f"bytes={10**18 - 1}-", f"bytes={10**20 - 1}-")
IGNORED = ("bytes=5-2", "bytes=0-1,5-6", "lines=1-2", "bytes=", "bytes=-", "bytes=x-", "bytes 0-1")
HUGE = "9" * 20


async def warm(layer: Layer) -> None:
    """Bring the original into the cache, if the layer has one."""
    first, second = [await layer.ask(f"GET {layer.path}") for _ in range(2)]
    assert (first.status, second.status) == (200, 200)
    assert second.headers.get("x-cache") == ("HIT" if layer.name == "varnish" else None)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("asked", ["bytes=0-9", "bytes=999999-", "bytes=-5"])
async def test_head_ignores_a_range(layer: Layer, asked: str, cached: bool) -> None:
    if cached:
        await warm(layer)
    for path in (layer.path, f"{layer.path}.jpg", f"{layer.path}.png?thumb=9", f"{layer.path}/info", "/v1/images"):
        whole = await layer.ask(f"HEAD {path}")
        for _ in range(2):
            answer = await layer.ask(f"HEAD {path}", f"Range: {asked}")
            assert answer.status == 200, path
            assert answer.headers["content-length"] == whole.headers["content-length"], path
            assert "content-range" not in answer.headers


@pytest.mark.parametrize("cached", [False, True])
async def test_get_honours_a_range(layer: Layer, cached: bool) -> None:
    if cached:
        await warm(layer)
    size = len(layer.body)
    for asked, part in {
        "bytes=0-9": range(10),
        "bytes=10-": range(10, size),
        "bytes=-5": range(size - 5, size),
        f"bytes=-{size * 2}": range(size),
        f"bytes=3-{size * 2}": range(3, size),
        f"bytes=3-{HUGE}": range(3, size),
        f"bytes=-{HUGE}": range(size),
        f"bytes={'0' * 20}1-{'0' * 20}2": range(1, 3),
    }.items():
        answer = await layer.ask(f"GET {layer.path}", f"Range: {asked}")
        assert (answer.status, answer.body) == (206, layer.body[part.start : part.stop]), asked
        assert answer.headers["content-range"] == f"bytes {part.start}-{part.stop - 1}/{size}"
        assert answer.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("asked", UNSATISFIABLE)
async def test_a_range_outside_of_the_image_is_a_problem(layer: Layer, asked: str, cached: bool) -> None:
    if cached:
        await warm(layer)
    answer = await layer.ask(f"GET {layer.path}", f"Range: {asked}")
    assert answer.status == 416
    assert str(len(layer.body)) in str(answer.problem["detail"])
    assert answer.headers["content-range"] == f"bytes */{len(layer.body)}"


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("asked", IGNORED)
async def test_an_invalid_range_is_ignored(layer: Layer, asked: str, cached: bool) -> None:
    if cached:
        await warm(layer)
    answer = await layer.ask(f"GET {layer.path}", f"Range: {asked}")
    assert (answer.status, answer.body) == (200, layer.body)


@pytest.mark.parametrize("cached", [False, True])
async def test_a_client_continues_a_download_of_the_same_image_only(layer: Layer, cached: bool) -> None:
    if cached:
        await warm(layer)
    whole = await layer.ask(f"HEAD {layer.path}")
    tag, date = whole.headers["etag"], whole.headers["last-modified"]
    other = format_datetime(parsedate_to_datetime(date) - timedelta(days=1), usegmt=True)
    for condition, status in {tag: 206, date: 206, '"other"': 200, other: 200, f"W/{tag}": 200}.items():
        answer = await layer.ask(f"GET {layer.path}", "Range: bytes=10-", f"If-Range: {condition}")
        assert (answer.status, answer.body) == (status, layer.body[10 if status == 206 else 0 :]), condition
    # Another image has no range that could be outside of it.
    assert (await layer.ask(f"GET {layer.path}", "Range: bytes=999999-", 'If-Range: "other"')).status == 200


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("asked", [(), ("Range: bytes=0-9",)])
async def test_a_failed_condition_is_a_problem(layer: Layer, asked: tuple[str, ...], cached: bool) -> None:
    if cached:
        await warm(layer)
    whole = await layer.ask(f"HEAD {layer.path}")
    tag, date = whole.headers["etag"], whole.headers["last-modified"]
    before = format_datetime(parsedate_to_datetime(date) - timedelta(seconds=1), usegmt=True)
    expected = 206 if asked else 200
    for condition, status in {
        f"If-Match: {tag}": expected,
        "If-Match: *": expected,
        f'If-Match: "x", {tag}': expected,
        'If-Match: "other"': 412,
        f"If-Match: W/{tag}": 412,
        f"If-Unmodified-Since: {date}": expected,
        f"If-Unmodified-Since: {before}": 412,
        "If-Unmodified-Since: yesterday": expected,
    }.items():
        answer = await layer.ask(f"GET {layer.path}", condition, *asked)
        assert answer.status == status, condition
        if status == 412:
            assert "condition" in str(answer.problem["detail"]) or "If-" in str(answer.problem["detail"])
        else:
            assert answer.body == layer.body[: 10 if asked else None], condition


async def test_a_tag_of_a_variant_is_a_condition(layer: Layer) -> None:
    path = f"{layer.path}.png?thumb=9"
    tag = (await layer.ask(f"GET {path}")).headers["etag"]
    assert (await layer.ask(f"GET {path}", f"If-Match: {tag}")).status == 200
    refused = await layer.ask(f"GET {path}", 'If-Match: "other"')
    assert (refused.status, refused.problem["title"]) == (412, "Precondition Failed")


async def test_an_unknown_expectation_is_refused(layer: Layer) -> None:
    """Varnish refuses it before it runs any code of ours, without headers and body. nginx ignores it."""
    if layer.name == "nginx":
        return
    answer = await layer.ask(f"GET {layer.path}", "Expect: a miracle")
    assert answer.status == 417
    assert "cache-control" not in answer.headers or answer.problem


REFUSED = {
    "413": ("POST /v1/images", 413, f"{LIMIT}"),
    "413 of a transform": ("POST /v1/transform?thumb=9", 413, f"{LIMIT}"),
    "405 put": ("PUT /v1/images", 405, "PUT is not allowed here; use one of: GET, HEAD, POST"),
    "405 put image": ("PUT /v1/images/0123456789abcdef0123456789abcdef", 405, "DELETE, GET, HEAD, PATCH"),
    "405 post": ("POST /v1/images/0123456789abcdef0123456789abcdef.webp?thumb=9", 405, "use one of: GET, HEAD"),
    "405 info": ("POST /v1/images/0123456789abcdef0123456789abcdef/info", 405, "use one of: GET, HEAD"),
    "405 health": ("POST /v1/transform/healthcheck", 405, "use one of: GET, HEAD"),
    "404": ("POST /v1/nothing", 404, "its reference at /docs, and the console at /console"),
    "404 slash": ("POST /v1/images/?limit=1", 404, "; remove the slash at its end, or see the reference at /docs"),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("expects", [False, True])
async def test_a_refusal_does_not_wait_for_the_body(layer: Layer, refused: tuple[str, int, str], expects: bool) -> None:
    line, status, text = refused
    size = 70 * 1024**2 if status == 413 else LIMIT
    async with layer.client() as client:
        headers = ["Content-Type: image/jpeg", f"Content-Length: {size}"]
        client.ask(line, *headers, *(["Expect: 100-continue"] if expects else []))
        if not expects:
            client.send(bytes(1000))
        began = time.monotonic()
        answer = await client.answer()
        detail = str(json.loads(answer.body)["detail"])
        assert (answer.status, text in detail) == (status, True), answer
        if status == 405:
            assert answer.problem
            assert detail.endswith(answer.headers["allow"].replace(", ", ",").replace(",", ", "))
        assert time.monotonic() - began < STALL_SECONDS


@pytest.mark.parametrize("extra", [2, 1.01])
async def test_a_multipart_form_is_refused_by_its_length(layer: Layer, extra: float) -> None:
    """Only what is left of the form could be a file that is small enough."""
    async with layer.client() as client:
        kind = "Content-Type: multipart/form-data; boundary=b"
        client.ask("POST /v1/images", kind, f"Content-Length: {int(extra * LIMIT) + 1024**2}", "Expect: 100-continue")
        assert (await client.answer()).status == 413


async def test_a_client_that_expects_a_100_gets_it(layer: Layer) -> None:
    async with layer.client() as client:
        length = f"Content-Length: {len(layer.body)}"
        client.ask("POST /v1/images", "Content-Type: image/jpeg", length, "Expect: 100-continue")
        assert (await client.answer()).status == 100
        client.send(layer.body)
        answer = await client.answer()
        assert (answer.status, json.loads(answer.body)["bytes"]) == (201, len(layer.body))


async def test_a_client_that_does_not_expect_a_100_gets_none(layer: Layer) -> None:
    assert (await layer.post(layer.body)).status == 201


@pytest.mark.parametrize("framing", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
async def test_a_client_that_falls_silent_gets_408(layer: Layer, framing: str) -> None:
    async with layer.client() as client:
        client.ask("POST /v1/images", "Content-Type: image/jpeg", framing)
        client.send(b"5\r\n\xff\xd8\xff\xe0\x00\r\n")
        answer = await client.answer()
        assert (answer.status, "came to a halt" in str(answer.problem["detail"])) == (408, True)


async def test_a_silent_client_that_resumes_too_late_still_gets_408(layer: Layer) -> None:
    async with layer.client() as client:
        client.ask("POST /v1/images", "Content-Type: image/jpeg", "Content-Length: 1000000")
        client.send(b"\xff\xd8")
        await asyncio.sleep(STALL_SECONDS + 1)
        client.send(bytes(500_000))
        assert (await client.answer()).status == 408


async def test_requests_on_one_connection_follow_an_upload_or_a_close(layer: Layer) -> None:
    """A second request behind an upload is answered, or the first response says that the connection closes."""
    async with layer.client() as client:
        client.ask("POST /v1/images", "Content-Type: image/jpeg", f"Content-Length: {len(layer.body)}")
        client.send(layer.body)
        client.ask("GET /v1/images/healthcheck")
        first = await client.answer()
        assert first.status == 201
        if first.headers.get("connection", "").lower() != "close":
            assert (await client.answer()).status == 200
        else:
            with pytest.raises(asyncio.IncompleteReadError):
                await client.answer()
