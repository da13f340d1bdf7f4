"""What a browser loads: the same from `imgsvc serve`, from nginx and from Varnish."""

import gzip
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiohttp
import pytest
from yarl import URL

from pages.routes import FOLDER
from tests import edge, servers

FILES = [path.relative_to(FOLDER).as_posix() for path in sorted(FOLDER.rglob("*")) if path.is_file()]


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where each layer is. One of them is below a path."""
    with (
        servers.serve(tmp_path_factory.mktemp("embedded"), PATH_PREFIX="/pictures") as served,
        edge.started(tmp_path_factory.mktemp("edge"), AUTH="keys") as started,
    ):
        yield {
            "embedded": f"{served.url}/pictures",
            "nginx": started.url("nginx"),
            "varnish": started.url("varnish"),
        }


@pytest.fixture(params=["embedded", "nginx", "varnish"])
def url(request: pytest.FixtureRequest, urls: dict[str, str]) -> str:
    return urls[request.param]


async def test_every_file_is_served_whole_and_compressed(url: str, http: aiohttp.ClientSession) -> None:
    for name in FILES:
        path = f"{url}/{name.removesuffix('index.html')}"
        content = (FOLDER / name).read_bytes()
        async with http.get(path, headers={"Accept-Encoding": "identity"}) as response:
            assert (response.status, await response.read()) == (200, content), name
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
            etag = response.headers["ETag"]
        async with http.get(path, headers={"If-None-Match": etag, "Accept-Encoding": "gzip;q=0"}) as response:
            assert (response.status, await response.read()) == (304, b""), name
        async with http.head(path) as response:
            assert (response.status, await response.read()) == (200, b""), name
        async with http.get(path, headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as response:
            body = await response.read()
            if name.endswith((".js", ".css", ".json")):
                assert response.headers["Vary"] == "Accept-Encoding"
                assert gzip.decompress(body) == content, name
                assert len(body) < len(content)


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [("/", 302, "/console/"), ("/console", 308, "/console/"), ("/docs", 308, "/docs/")],
)
async def test_browsers_are_sent_to_a_page(
    url: str, path: str, status: int, location: str, http: aiohttp.ClientSession
) -> None:
    headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with http.get(url + path, headers=headers, allow_redirects=False) as response:
        prefix = urlsplit(url).path
        assert (response.status, response.headers["Location"]) == (status, prefix + location)
    async with http.get(url + path, headers=headers) as response:
        assert (response.status, str(response.url)) == (200, f"{url}{location}")


async def test_who_wants_json_is_told_where_the_api_is(url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{url}/", headers={"Accept": "application/json"}) as response:
        assert response.status == 404
        assert "/v1/images" in (await response.json(content_type="application/problem+json"))["detail"]


@pytest.mark.parametrize(
    "path",
    ["/docs/none.js", "/docs/../settings.env", "/docs//docs.js", "/console/none.js", "/nothing.json", "/vendored/"],
)
async def test_nothing_else_is_served(url: str, path: str, http: aiohttp.ClientSession) -> None:
    async with http.get(URL(url + path, encoded=True)) as response:
        assert response.status == 404, path
        assert response.request_info.url.raw_path.endswith(path), "it was sent as it is"


async def test_only_reading_is_allowed(url: str, http: aiohttp.ClientSession) -> None:
    for method in ("POST", "PUT", "DELETE"):
        async with http.request(method, f"{url}/openapi.json") as response:
            assert response.status == 405, method
            assert {"GET", "HEAD"} <= set(response.headers["Allow"].replace(" ", "").split(","))
