"""URLs that people choose, in one process and through nginx and Varnish."""

import json
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from service_kit import signing
from tests import pictures
from tests.imgsvc.sites import Site, bearer

OTHER = bytes(pictures.gradient(30, 20).pngsave_buffer())
PNG = {"Content-Type": "image/png"}


@pytest.fixture(params=["closed", "varnish", "nginx"])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found


async def put(site: Site, name: str, what: object, key: str = "", status: int = 200) -> dict[str, Any]:
    """Make a name show an image: the answer."""
    got, answer = await site.json("PUT", f"/v1/names/{name}", key or site.key, what)
    assert got == status, answer
    return answer


async def shown(site: Site, path: str, key: str = "") -> tuple[int, str, bytes]:
    """Status, content type and body."""
    async with site.http.get(site.url + path, headers=bearer(key) if key else {}) as response:
        return response.status, response.content_type, await response.read()


async def test_a_name_shows_what_it_was_last_given(site: Site) -> None:
    first = await site.upload(bearer(site.key))
    made = await put(site, "shop/hero.jpg", {"image_id": first}, status=201)
    assert (made["url"], made["version"], made["image"]["image_id"]) == ("/v1/names/shop/hero.jpg", 1, first)
    before = await shown(site, "/v1/names/shop/hero.jpg")
    assert before == (200, "image/jpeg", (await shown(site, f"/v1/images/{first}"))[2])

    status, text = await site.request("PUT", "/v1/names/shop/hero.jpg?title=new", {**PNG, **bearer(site.key)}, OTHER)
    answer = json.loads(text)
    assert (status, answer["version"], answer["image"]["title"]) == (200, 2, "new"), text
    assert await shown(site, "/v1/names/shop/hero.jpg") == (200, "image/png", OTHER)
    assert (await shown(site, "/v1/names/shop/hero.jpg?thumb=10&format=webp"))[:2] == (200, "image/webp")
    assert (await shown(site, f"/v1/images/{first}"))[0] == 200

    status, versions = await site.json("GET", "/v1/names/shop/hero.jpg/versions", site.key)
    assert [(each["version"], each["image_id"]) for each in versions["versions"]] == [
        (2, answer["image_id"]),
        (1, first),
    ]
    back = await put(site, "shop/hero.jpg", {"version": 1})
    assert (back["version"], back["image_id"]) == (3, first)
    assert await shown(site, "/v1/names/shop/hero.jpg") == before


async def test_a_name_that_goes_back_to_an_older_image_is_not_unchanged(site: Site) -> None:
    """By its date, the older image would be."""
    older = await site.upload(bearer(site.key))
    url = f"{site.url}/v1/names/back.jpg"
    await site.request("PUT", "/v1/names/back.jpg", {**PNG, **bearer(site.key)}, OTHER)
    _, info = await site.json("GET", f"/v1/images/{older}/info", site.key)
    since = datetime.fromisoformat(info["created_at"]) + timedelta(days=1)
    early = "Thu, 01 Jan 1970 00:00:00 GMT"
    for dated in ({"If-Modified-Since": format_datetime(since, usegmt=True)}, {"If-Unmodified-Since": early}):
        async with site.http.get(url, headers=dated) as response:
            assert (response.status, response.headers.get("Last-Modified")) == (200, None), dated
            assert await response.read() == OTHER
    await put(site, "back.jpg", {"image_id": older})
    async with site.http.get(url, headers={"If-Modified-Since": format_datetime(since, usegmt=True)}) as response:
        assert response.status == 200
    part = {"Range": "bytes=0-3", "If-Range": format_datetime(since, usegmt=True)}
    async with site.http.get(url, headers=part) as response:
        assert response.status == 200


async def test_a_name_is_made_or_replaced_only_if_it_is_as_expected(site: Site) -> None:
    image_id = await site.upload(bearer(site.key))
    headers = bearer(site.key) | {"Content-Type": "application/json"}
    body = json.dumps({"image_id": image_id}).encode()
    path = "/v1/names/expected"

    async def answer(method: str, **conditions: str) -> int:
        given = headers | {name.replace("_", "-"): value for name, value in conditions.items()}
        return (await site.request(method, path, given, body if method == "PUT" else None))[0]

    assert await answer("PUT", If_Match="*") == 412
    assert await answer("PUT", If_None_Match="*") == 201
    assert await answer("PUT", If_None_Match="*") == 412
    async with site.http.get(site.url + path) as response:
        tag = response.headers["ETag"]
    assert await answer("PUT", If_Match='"other"') == 412
    assert await answer("PUT", If_Match=tag) == 200
    assert await answer("DELETE", If_Match='"other"') == 412
    assert await answer("DELETE", If_Match=tag) == 204


async def test_a_signature_does_not_open_a_name(site: Site) -> None:
    _, secret = site.new_signer()
    image_id = await site.upload(bearer(site.key), "?visibility=private")
    await put(site, "signed.jpg", {"image_id": image_id}, status=201)
    for target in ("/v1/names/signed.jpg", "/v1/names/signed.jpg?thumb=10"):
        status, text = await site.request("GET", signing.signed(target, secret))
        assert status in {400, 401, 403}, text


async def test_an_image_for_a_name_of_another_space_is_not_stored(site: Site) -> None:
    await put(site, "of/default", {"image_id": await site.upload(bearer(site.key))}, status=201)
    status, text = await site.request("PUT", "/v1/names/of/default?space=b", {**PNG, **bearer(site.key)}, OTHER)
    assert (status, "same space" in text) == (403, True)
    assert (await site.json("GET", "/v1/images?space=b&format=png", site.key))[1]["images"] == []


async def test_browsers_ask_each_time_what_a_name_shows(site: Site) -> None:
    await put(site, "asked", {"image_id": await site.upload(bearer(site.key))}, status=201)
    for query in ("", "?thumb=10"):
        async with site.http.get(f"{site.url}/v1/names/asked{query}") as response:
            assert response.headers["Cache-Control"] == "public, no-cache", query
        known = {"If-None-Match": response.headers["ETag"]}
        async with site.http.get(f"{site.url}/v1/names/asked{query}", headers=known) as response:
            assert response.status == 304, query


async def test_a_name_shows_a_range_of_the_original(site: Site) -> None:
    await site.request("PUT", "/v1/names/range.png", {**PNG, **bearer(site.key)}, OTHER)
    async with site.http.get(f"{site.url}/v1/names/range.png", headers={"Range": "bytes=1-3"}) as response:
        assert (response.status, await response.read()) == (206, OTHER[1:4])


async def test_a_removed_name_shows_nothing_and_keeps_its_images(site: Site) -> None:
    image_id = await site.upload(bearer(site.key))
    await put(site, "short/lived", {"image_id": image_id}, status=201)
    assert (await shown(site, "/v1/names/short/lived"))[0] == 200
    assert (await site.json("DELETE", "/v1/names/short/lived", site.key))[0] == 204
    assert (await shown(site, "/v1/names/short/lived"))[0] == 404
    assert (await shown(site, f"/v1/images/{image_id}"))[0] == 200
    assert (await site.json("DELETE", "/v1/names/short/lived", site.key))[0] == 404
    assert (await put(site, "short/lived", {"image_id": image_id}, status=201))["version"] == 1


async def test_a_name_of_a_deleted_image_says_so(site: Site) -> None:
    image_id = await site.upload(bearer(site.key))
    await put(site, "gone", {"image_id": image_id}, status=201)
    assert (await shown(site, "/v1/names/gone"))[0] == 200
    assert (await site.json("DELETE", f"/v1/images/{image_id}", site.key))[0] == 204
    assert (await shown(site, "/v1/names/gone"))[0] == 410
    assert (await shown(site, "/v1/names/gone?thumb=10"))[0] == 410
    await put(site, "gone", {"image_id": image_id}, status=410)


async def test_a_private_image_stays_private_under_a_name(site: Site) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=private")
    await put(site, "secret.jpg", {"image_id": image_id}, status=201)
    for query in ("", "?thumb=10"):
        for _ in range(2):
            assert (await shown(site, f"/v1/names/secret.jpg{query}"))[0] == 401
            assert (await shown(site, f"/v1/names/secret.jpg{query}", site.key))[0] == 200
        assert (await shown(site, f"/v1/names/secret.jpg{query}", site.new_key("list")))[0] == 403


async def test_names_of_other_spaces_cannot_be_taken(site: Site) -> None:
    mine, theirs = site.new_key("upload", "delete", "list", "metadata", space="a"), site.new_key("upload", space="b")
    image_id = await site.upload(bearer(mine))
    await put(site, "of/a", {"image_id": image_id}, mine, 201)
    assert (
        "another space"
        in (await put(site, "of/a", {"image_id": await site.upload(bearer(theirs))}, theirs, 403))["detail"]
    )
    assert "does not exist" in (await put(site, "of/b", {"image_id": image_id}, theirs, 404))["detail"]
    default = await site.upload(bearer(site.key))
    assert "same space" in (await put(site, "of/a", {"image_id": default}, status=403))["detail"]
    status, listed = await site.json("GET", "/v1/names?prefix=of/", mine)
    assert (status, [each["name"] for each in listed["names"]]) == (200, ["of/a"])
    reader = site.new_key("list", "metadata", "delete", space="b")
    assert (await site.json("GET", "/v1/names?prefix=of/", reader))[1]["names"] == []
    assert (await site.json("GET", "/v1/names/of/a/versions", reader))[0] == 404
    assert (await site.json("DELETE", "/v1/names/of/a", reader))[0] == 404


async def test_names_are_listed_in_pages(site: Site) -> None:
    image_id = await site.upload(bearer(site.key))
    for number in range(5):
        await put(site, f"page/{number}", {"image_id": image_id}, status=201)
    found: list[str] = []
    after = ""
    while True:
        _, page = await site.json("GET", f"/v1/names?prefix=page/&limit=2&after={after}", site.key)
        found += [each["name"] for each in page["names"]]
        if not (after := page["after"] or ""):
            break
    assert found == [f"page/{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("name", "what", "status", "detail"),
    [
        (".hidden", {"image_id": "0" * 32}, 400, "is not a name"),
        ("a//b", {"image_id": "0" * 32}, 400, "is not a name"),
        ("a/versions", {"image_id": "0" * 32}, 405, "not allowed"),
        ("x" * 201, {"image_id": "0" * 32}, 400, "up to 200"),
        ("a", {"image_id": "0" * 32}, 404, "does not exist"),
        ("a", {"image_id": "zero"}, 400, "image_id"),
        ("a", {}, 400, "either `image_id` or `version`"),
        ("a", {"image_id": "0" * 32, "version": 1}, 400, "either `image_id` or `version`"),
        ("a", {"version": 1}, 404, "the name a does not exist"),
        ("a", {"imageid": "0" * 32}, 400, "imageid"),
    ],
)
async def test_what_is_wrong_is_said(closed: Site, name: str, what: object, status: int, detail: str) -> None:
    assert detail in (await put(closed, name, what, status=status))["detail"]


async def test_a_name_needs_scopes(site: Site) -> None:
    image_id = await site.upload(bearer(site.key))
    await put(site, "scoped", {"image_id": image_id}, site.new_key("upload"), 201)
    weak = site.new_key("read")
    assert (await site.json("PUT", "/v1/names/scoped", weak, {"image_id": image_id}))[0] == 403
    assert (await site.json("DELETE", "/v1/names/scoped", weak))[0] == 403
    assert (await site.json("GET", "/v1/names", weak))[0] == 403
    assert (await site.json("PUT", "/v1/names/scoped", body={"image_id": image_id}))[0] == 401


async def test_changes_of_names_are_in_the_audit_trail(closed: Site) -> None:
    await put(closed, "audited", {"image_id": await closed.upload(bearer(closed.key))}, status=201)
    _, trail = await closed.json("GET", "/v1/audit?subject=audited", closed.key)
    assert [each["action"] for each in trail["entries"]] == ["name"]
