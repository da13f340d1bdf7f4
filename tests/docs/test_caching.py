"""What docs/caching.md promises, behind nginx and Varnish."""

import json
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
from yarl import URL

from tests import edge


class Visitor:
    """Requests variants of one image through Varnish."""

    def __init__(self, http: aiohttp.ClientSession, url: str, image_id: str) -> None:
        self._http, self._url, self.image_id = http, url, image_id

    async def get(self, path: str, **headers: str) -> tuple[int, Mapping[str, str]]:
        url = URL(f"{self._url}{path.replace('ID', self.image_id)}", encoded=True)
        async with self._http.get(url, headers=headers) as response:
            await response.read()
            return response.status, response.headers


@pytest.fixture(scope="module")
async def visitor(
    tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession, photo_on_disk: bytes
) -> AsyncIterator[Visitor]:
    with edge.started(tmp_path_factory.mktemp("edge")) as layers:
        url = layers.url("varnish")
        headers = {"Content-Type": "image/jpeg"}
        async with http.post(f"{url}/v1/images", data=photo_on_disk, headers=headers) as response:
            image_id = json.loads(await response.read())["image_id"]
        yield Visitor(http, url, image_id)


async def test_headers_say_where_an_answer_comes_from(visitor: Visitor) -> None:
    _, first = await visitor.get("/v1/images/ID.webp?thumb=101")
    _, second = await visitor.get("/v1/images/ID.webp?thumb=101")
    assert (first["X-Cache"], second["X-Cache"]) == ("MISS", "HIT")
    assert {"Cache-Status", "Server-Timing"} <= {*first}
    assert first["Cache-Control"] == "public, max-age=31536000, immutable"
    status, _ = await visitor.get("/v1/images/ID.webp?thumb=101", **{"If-None-Match": first["ETag"]})
    assert status == 304


@pytest.mark.parametrize("same", ["/image/ID.webp?thumb=102", "/images/ID.webp?thumb=102&utm_source=mail"])
async def test_some_urls_are_one_entry(visitor: Visitor, same: str) -> None:
    await visitor.get("/v1/images/ID.webp?thumb=102")
    _, headers = await visitor.get(same)
    assert headers["X-Cache"] == "HIT"


@pytest.mark.parametrize("other", ["resize=103x", "w=103&v=2"])
async def test_some_urls_share_a_result_but_not_an_entry(visitor: Visitor, other: str) -> None:
    _, first = await visitor.get("/v1/images/ID.webp?w=103")
    _, second = await visitor.get(f"/v1/images/ID.webp?{other}")
    assert (second["X-Cache"], second["ETag"]) == ("MISS", first["ETag"])


async def test_another_order_is_another_picture(visitor: Visitor) -> None:
    _, first = await visitor.get("/v1/images/ID.webp?blur=2&thumb=104")
    _, second = await visitor.get("/v1/images/ID.webp?thumb=104&blur=2")
    assert first["ETag"] != second["ETag"]


async def test_descriptions_and_errors_are_not_kept(visitor: Visitor) -> None:
    for path in ("/v1/images/ID/info", "/v1/images?limit=1", "/v1/images/ID?thum=1"):
        _, headers = await visitor.get(path)
        assert headers["Cache-Control"] == "no-store"
