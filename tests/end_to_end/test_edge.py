"""How Varnish and nginx handle odd, greedy and hostile requests."""

import asyncio
import itertools
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from imaging.formats import FORMATS
from tests import pictures
from tests.end_to_end.conftest import Service
from transform_service.http.negotiation import negotiated

pytestmark = pytest.mark.parametrize("running", ["compose"], indirect=True, scope="session")

ACCEPTS = json.loads(Path(__file__).with_name("accepts.json").read_text())
"""The Accept headers that browsers, applications and libraries send for an image, as their vendors document them."""
UNKEYED = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "ftp",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Scheme": "nothttps",
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Prefix": "/evil",
    "X-Real-IP": "127.0.0.1",
    "X-Original-URL": "/v1/images",
    "X-Rewrite-URL": "/v1/images",
    "X-Host": "evil.example",
    "X-HTTP-Method-Override": "DELETE",
    "X-Method-Override": "DELETE",
    "X-Accel-Redirect": "/originals/",
    "X-Accel-Buffering": "no",
    "X-Content": "0" * 64,
    "Forwarded": "for=127.0.0.1;host=evil.example",
    "Via": "1.1 evil",
    "True-Client-IP": "127.0.0.1",
    "Host": "evil.example",
    "Origin": "https://evil.example",
    "Referer": "https://evil.example/",
    "User-Agent": "Mozilla/5.0",
    "Cookie": "session=1; format=png",
    "Authorization": "Basic eDp5",
    "Accept": "image/webp",
    "Accept-Language": "de",
    "Accept-Encoding": "gzip, br",
    "Cache-Control": "no-cache, no-store",
    "Pragma": "no-cache",
    "Save-Data": "on",
    "DPR": "3",
    "Sec-CH-Width": "10",
    "Content-Type": "image/png",
    "TE": "trailers",
}


@pytest.fixture(scope="module")
async def image_id(service: Service) -> str:
    return await service.upload(pictures.jpeg())


async def test_only_accept_changes_a_body(service: Service, image_id: str) -> None:
    urls = [f"/v1/images/{image_id}", f"/v1/images/{image_id}.jpg", f"/v1/transform?image_id={image_id}&thumb=9"]
    urls += [f"/v1/images/{image_id}.{ext}?thumb={n}" for n, ext in enumerate(["webp", "png", "jpg", "gif"] * 5, 10)]
    known = {url: (await service.get(url))[:2] for url in urls}
    for url, (name, value) in itertools.product(urls, UNKEYED.items()):
        assert (await service.get(url, headers={name: value}))[:2] == known[url], (url, name)


async def test_headers_do_not_affect_later_clients(service: Service, image_id: str) -> None:
    """The request with the header comes first, and fills the cache."""
    for number, (name, value) in enumerate(UNKEYED.items(), 40):
        status, body, _ = await service.get(f"/v1/images/{image_id}.webp?thumb={number}", headers={name: value})
        later = await service.get(f"/v1/images/{image_id}.webp?thumb={number}")
        elsewhere = await service.get(f"/v1/images/{image_id}.webp?rotate=0&thumb={number}")
        assert later[2].headers["X-Cache"] == "HIT", name
        assert (status, body) == later[:2] == elsewhere[:2], name


async def test_a_thousand_accept_headers_get_the_right_one_of_four_variants(service: Service, image_id: str) -> None:
    ends = (
        "",
        ",*/*;q=0.1",
        ", text/html;q=0.3",
        ",image/x-icon",
        ",image/jxr",
        ",a/b",
        ",image/jp2",
        ", image/bmp;q=0.9",
    )
    headers = [accept + end for accept in ACCEPTS for end in ends]
    headers += [text.replace(",", " , ") for text in ACCEPTS] + [text.upper() for text in ACCEPTS]
    headers += [text.replace(";q=", "; q=") for text in ACCEPTS]
    for kind, q in itertools.product(
        ("image/avif", "image/webp", "image/*", "*/*"), ("0", "0.3", "0.55", "0.800", "1.0")
    ):
        headers += [text.replace(kind, f"{kind};q={q}") for text in ACCEPTS if kind in text and f"{kind};" not in text]
    headers = list(dict.fromkeys(headers))
    assert len(headers) >= 1000, len(headers)
    path = f"/v1/images/{image_id}.auto?thumb=33"
    tags = set()
    for accept in headers:
        status, _, response = await service.get(path, headers={"Accept": accept})
        # Varnish does not know the format of the original. It serves the original to a client that prefers any of these
        # formats to AVIF and WebP.
        originals = ("jpeg", "png", "gif")
        right = {negotiated([accept], FORMATS[name], animated=False).media_type for name in originals}
        if right & {FORMATS[name].media_type for name in originals}:
            right.add("image/jpeg")
        assert status == 200
        assert response.content_type in right, accept
        assert response.headers["Vary"] == "Accept"
        tags.add(response.headers["ETag"])
    assert len(tags) <= 4
    print(f"\n{len(headers)} Accept headers, {len(tags)} variants")


async def raw(service: Service, sent: bytes) -> bytes:
    """Everything received on one connection until it is closed or silent."""
    parts = urlsplit(service.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    received = b""
    try:
        writer.write(sent)
        await writer.drain()
        while chunk := await asyncio.wait_for(reader.read(65536), 1):
            received += chunk
    except (TimeoutError, ConnectionResetError):
        pass
    finally:
        writer.close()
    return received


SMUGGLED = b"GET /v1/images/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Content-Length: 0\r\nContent-Length: 47\r\n",
        b"Content-Length: 47, 0\r\n",
        b"Content-Length: +47\r\n",
        b"Content-Length: 0x2f\r\n",
        b"Transfer-Encoding: identity, chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding:\tchunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b" Transfer-Encoding: chunked\r\n",
        b"X: y\nTransfer-Encoding: chunked\r\n",
        b"X: y\r\n Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n",
    ],
)
async def test_a_smuggled_request_does_not_affect_other_clients(service: Service, image_id: str, head: bytes) -> None:
    """Varnish, nginx and the service agree on where a request ends, so other clients get their own responses."""
    body = b"0\r\n\r\n" + SMUGGLED
    attack = b"POST /v1/transform?thumb=9 HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n" + head + b"\r\n" + body
    known = (await service.get(f"/v1/images/{image_id}.webp?thumb=20"))[:2]
    attacks, others = await asyncio.gather(
        asyncio.gather(*(raw(service, attack) for _ in range(5))),
        asyncio.gather(*(service.get(f"/v1/images/{image_id}.webp?thumb=20&utm_x={n}") for n in range(20))),
    )
    assert {other[:2] for other in others} == {known}
    for received in attacks:
        responses = received.split(b"HTTP/1.1 ")[1:]
        assert len(responses) <= 2, received
        # The sender may pipeline another request. It gets the response itself.
        assert all(response[:3] in {b"400", b"404", b"411", b"413", b"415", b"501"} for response in responses), received
        cold = await service.get(f"/v1/images/{image_id}/info")
        assert cold[0] == 200
        assert json.loads(cold[1])["image_id"] == image_id


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("PURGE /v1/images/0123456789abcdef0123456789abcdef", 405),
        ("BAN /", 405),
        ("TRACE /", 405),
        ("GET /v2/images", 404),
        ("GET /metrics", 404),
        ("GET /nginx/healthcheck", 404),
        ("GET /internal/images/0123456789abcdef0123456789abcdef", 404),
        ("GET /originals/sha256/00/00/0", 404),
        ("GET /v1/images/../images/healthcheck", 404),
        ("GET /../../etc/passwd", 404),
        ("GET /v1/images/%2e%2e/x", 404),
        ("GET /v1/images/%252e%252e/x", 404),
        ("GET https://internal/v1/images", 400),
        ("GET /v1/images?" + "a" * 9000, 414),
    ],
)
async def test_internal_paths_and_methods_are_refused_with_a_problem(service: Service, line: str, status: int) -> None:
    received = await raw(service, f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), head
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == status


async def test_headers_that_are_too_large_are_refused_with_a_problem(service: Service) -> None:
    received = await raw(service, b"GET /v1/images HTTP/1.1\r\nHost: x\r\nX-Large: " + b"a" * 20_000 + b"\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 431 ")
    assert b"application/problem+json" in received
    enough = await raw(service, b"GET /v1/images HTTP/1.1\r\nHost: x\r\nX-Large: " + b"a" * 200_000 + b"\r\n\r\n")
    assert enough[:12] in {b"", b"HTTP/1.1 400", b"HTTP/1.1 431"}
