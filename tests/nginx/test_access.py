"""Who may do what, through nginx and Varnish."""

import asyncio
import json
import re
from collections.abc import Iterator

import aiohttp
import pytest
from multidict import CIMultiDictProxy

from tests import edge, pictures

PHOTO = bytes(pictures.noise(60, 40).jpegsave_buffer())
JPEG = {"Content-Type": "image/jpeg"}
LAYERS = ("nginx", "varnish")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.Edge]:
    with edge.started(tmp_path_factory.mktemp("closed"), AUTH="keys") as started:
        yield started


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.Edge]:
    with edge.started(tmp_path_factory.mktemp("local"), AUTH="auto", PUBLISH="127.0.0.1:8080") as started:
        yield started


@pytest.fixture(scope="module")
def admin(closed: edge.Edge) -> dict[str, str]:
    (key,) = set(re.findall("ik_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", closed.log("storage")))
    return {"Authorization": f"Bearer {key}"}


async def ask(
    http: aiohttp.ClientSession,
    url: str,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: object = None,
) -> tuple[int, "CIMultiDictProxy[str]", str]:
    async with http.request(method, url, headers=headers, data=body) as response:
        return response.status, response.headers, (await response.read()).decode(errors="replace")


async def upload(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> str:
    status, _, text = await ask(http, f"{url}/v1/images", "POST", {**JPEG, **headers}, PHOTO)
    assert status == 201, text
    return str(json.loads(text)["image_id"])


@pytest.mark.parametrize("layer", LAYERS)
async def test_pictures_are_open_and_everything_else_needs_a_key(
    closed: edge.Edge, admin: dict[str, str], http: aiohttp.ClientSession, layer: str
) -> None:
    url = closed.url(layer)
    image_id = await upload(http, url, admin)
    for _ in range(2):  # cold, then from the cache
        for path in (f"/v1/images/{image_id}", f"/image/{image_id}.webp?thumb=20"):
            assert (await ask(http, url + path))[0] == 200
            assert (await ask(http, url + path, headers=admin))[0] == 200
        for path in ("/v1/images", "/images", f"/v1/images/{image_id}/info", "/v1/keys", "/keys"):
            status, headers, text = await ask(http, url + path)
            assert (status, headers["WWW-Authenticate"]) == (401, 'Bearer realm="imgsvc"'), path
            assert json.loads(text)["status"] == 401
            assert (await ask(http, url + path, headers=admin))[0] == 200, path
            assert (await ask(http, url + path, headers={"Authorization": "Bearer x"}))[0] == 403, path
    assert (await ask(http, f"{url}/v1/transform?thumb=20", "POST", JPEG, PHOTO))[0] == 401
    assert (await ask(http, f"{url}/v1/transform?thumb=20", "POST", {**JPEG, **admin}, PHOTO))[0] == 200
    assert (await ask(http, f"{url}/v1/images", "POST", JPEG, PHOTO))[0] == 401
    assert (await ask(http, f"{url}/v1/images/{image_id}", "DELETE"))[0] == 401
    assert (await ask(http, f"{url}/v1/images/{image_id}", "DELETE", admin))[0] == 204


@pytest.mark.parametrize("path", ["/v1/images", "/v1/keys", "/keys", "/v1/images/{}/info"])
async def test_no_answer_for_one_client_reaches_another(
    closed: edge.Edge, admin: dict[str, str], http: aiohttp.ClientSession, path: str
) -> None:
    url = closed.url("varnish") + path.format(await upload(http, closed.url("varnish"), admin))

    async def answer(headers: dict[str, str]) -> int:
        return (await ask(http, url, headers=headers))[0]

    found = await asyncio.gather(*(answer(admin if number % 2 else {}) for number in range(200)))
    assert found == [401, 200] * 100


async def test_the_internal_routes_stay_inside(
    closed: edge.Edge, admin: dict[str, str], http: aiohttp.ClientSession
) -> None:
    for layer in LAYERS:
        for path in ("/internal/identity", "/v1/internal/identity", "//internal/identity", "/internal%2fidentity"):
            assert (await ask(http, closed.url(layer) + path, headers=admin))[0] in {400, 404}, path


async def test_a_key_that_was_made_over_http_is_revoked_on_every_node(
    closed: edge.Edge, admin: dict[str, str], http: aiohttp.ClientSession
) -> None:
    url = closed.url("varnish")
    wanted = json.dumps({"name": "web", "scopes": ["read", "list"]})
    status, _, text = await ask(http, f"{url}/v1/keys", "POST", {**admin, "Content-Type": "application/json"}, wanted)
    assert status == 201, text
    key, headers = json.loads(text), {**JPEG}
    headers["Authorization"] = f"Bearer {key['key']}"
    assert (await ask(http, f"{url}/v1/images", headers=headers))[0] == 200
    assert (await ask(http, f"{url}/v1/transform?thumb=20", "POST", headers, PHOTO))[0] == 200
    assert (await ask(http, f"{url}/v1/keys/{key['key_id']}", "DELETE", admin))[0] == 204
    until = asyncio.get_running_loop().time() + 5
    while 200 in {
        (await ask(http, f"{url}/v1/images", headers=headers))[0],
        (await ask(http, f"{url}/v1/transform?thumb=20", "POST", headers, PHOTO))[0],
    }:
        assert asyncio.get_running_loop().time() < until


@pytest.mark.parametrize("layer", LAYERS)
async def test_browsers_get_preflights_and_foreign_pages_may_only_show_pictures(
    local: edge.Edge, http: aiohttp.ClientSession, layer: str
) -> None:
    url = local.url(layer)
    image_id = await upload(http, url, {"Origin": url})
    foreign = {"Origin": "https://evil.example"}
    for path, method in (
        ("/v1/images", "POST"),
        (f"/v1/images/{image_id}", "DELETE"),
        ("/v1/transform?thumb=1", "POST"),
    ):
        status, headers, text = await ask(
            http, url + path, "OPTIONS", {**foreign, "Access-Control-Request-Method": method}
        )
        assert (status, text) == (204, ""), path
        assert method in headers["Access-Control-Allow-Methods"]
        assert (await ask(http, url + path, method, {**foreign, **JPEG}, PHOTO if method == "POST" else None))[0] == 403
    assert (await ask(http, f"{url}/v1/images", headers=foreign))[0] == 403
    for _ in range(2):
        status, headers, _ = await ask(http, f"{url}/v1/images/{image_id}", headers=foreign)
        assert (status, headers["Cross-Origin-Resource-Policy"]) == (200, "cross-origin")
        assert "X-Cache" in headers["Access-Control-Expose-Headers"]
    assert (await ask(http, f"{url}/v1/images", headers={"Host": "evil.example"}))[0] == 403
    assert (await ask(http, f"{url}/v1/images/{image_id}", "DELETE", {"Origin": url}))[0] == 204
