"""What orchestrators and strangers ask first: is it alive, and what is it?"""

import re

import pytest

from tests import pictures
from tests.end_to_end.conftest import Service
from tests.end_to_end.test_edge import raw


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_the_paths_of_orchestrators_answer(service: Service, path: str) -> None:
    status, body, response = await service.get(path)
    assert (status, response.content_type) == (200, "application/json")
    assert b'"status": "okay"' in body
    assert response.headers["Cache-Control"] == "no-store"
    async with service.http.head(f"{service.url}{path}") as head:
        assert head.status == 200
    async with service.http.post(f"{service.url}{path}", data=b"x") as posted:
        assert posted.status in {200, 405}  # 405 where a service answers itself


async def test_no_response_names_a_version(service: Service) -> None:
    image_id = await service.upload(pictures.jpeg())
    paths = [
        *(f"/v1/images/{image_id}{rest}" for rest in ("", "?download", ".webp?thumb=9", "/info", "?thumb=x", ".bmp")),
        *("/v1/images", "/v1/images/healthcheck", "/v1/transform/healthcheck", "/healthz", "/readyz", "/nothing"),
        *("/metrics", "/v1/images?x=1", "/v1/transform", f"/v1/images/{'0' * 32}", "/v1/images/%2e%2e"),
    ]
    seen = {}
    for path in paths * 2:
        _, _, response = await service.get(path)
        seen[path] = response.headers
    async with service.http.post(f"{service.url}/v1/images", data=b"x") as response:
        seen["POST"] = response.headers
    for path, headers in seen.items():
        assert headers.get("Server", "") in {"", "imgsvc", "nginx"}, path
        for name in ("Via", "X-Powered-By", "X-AspNet-Version"):
            assert name not in headers, path
        product = re.compile(r"(aiohttp|nginx|varnish|python|gunicorn|libvips)/?\s*[0-9]", re.IGNORECASE)
        assert not any(product.search(value) for value in headers.values()), (path, headers)


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /v1/images HTTP/1.1\r\nHost: x\r\nExpect: magic\r\nConnection: close\r\n\r\n",
        b"GET /v1/images?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /v1/images HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\nConnection: close\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\nConnection: close\r\n\r\n",
    ],
)
async def test_not_even_an_error_names_a_version(service: Service, sent: bytes) -> None:
    head = (await raw(service, sent)).partition(b"\r\n\r\n")[0].decode("latin-1")
    assert not re.search(r"(?im)^(via|x-powered-by):", head), head
    assert not re.search(r"(?im)^server:.*[0-9]", head), head
    assert not re.search(r"(?i)aiohttp|python|varnish/", head), head
