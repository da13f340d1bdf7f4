"""Pending images, at `imgsvc serve`: keys see them, and nobody else, until a moderator releases them."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import aiohttp
import pytest

from service_kit import signing
from tests.imgsvc.sites import JPEG, PHOTO, Site, bearer, closed_site
from tests.imgsvc.test_private_images import pictures_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    with closed_site(tmp_path_factory.mktemp("pending"), http) as closed:
        yield closed


async def test_who_may_see_a_pending_image(site: Site) -> None:
    reader, foreign = site.new_key("read", space="shop"), site.new_key("read", space="other")
    uploader, (_, secret) = site.new_key("upload", space="shop"), site.new_signer()
    image_id = await site.upload(bearer(uploader), "?visibility=pending")
    for path in pictures_of(image_id):
        for key, status in ((reader, 200), (site.key, 200), (uploader, 403), (foreign, 404), ("", 401)):
            assert (await site.request("GET", path, bearer(key) if key else {}))[0] == status, (path, key)
        status, text = await site.request("GET", signing.signed(path, secret))
        assert (status, "is pending; send a key" in text) == (403, True), path
        async with site.http.get(site.url + path, headers=bearer(reader)) as response:
            assert response.headers["Cache-Control"] == "private, no-store"


async def test_a_moderator_releases_what_an_uploader_may_not(site: Site) -> None:
    uploader = site.new_key("upload", "read", "list", "metadata", "sign", "delete")
    moderator, _ = site.new_key("moderate"), site.new_key("read")
    image_id = await site.upload(bearer(uploader), "?visibility=pending")
    path = f"/v1/images/{image_id}"
    for visibility in ("public", "private"):
        status, answer = await site.json("PATCH", path, uploader, {"visibility": visibility})
        assert (status, answer["detail"]) == (
            403,
            "releasing a pending image requires the scope `moderate` as well; use a key that has it",
        )
    assert (await site.json("PATCH", path, uploader, {"title": "Sea"}))[0] == 200
    for body in ({"title": "Sky"}, {"visibility": "public", "title": "Sky"}):
        status, answer = await site.json("PATCH", path, moderator, body)
        assert (status, answer["detail"]) == (
            403,
            "changing what is said about an image requires the scope `upload`; use a key that has it",
        )
    status, answer = await site.json("PATCH", path, moderator, {"visibility": "public"})
    assert (status, answer["visibility"], answer["title"]) == (200, "public", "Sea")
    for picture in pictures_of(image_id):
        assert (await site.request("GET", picture))[0] == 200
    assert (await site.json("PATCH", path, moderator, {"visibility": "private"}))[0] == 403
    assert (await site.json("PATCH", path, uploader, {"visibility": "pending"}))[0] == 200
    assert (await site.request("GET", path))[0] == 401
    assert (await site.json("PATCH", path, uploader, {"visibility": "public"}))[0] == 403


async def test_pending_images_are_listed_by_a_filter_and_refused_by_deleting_them(site: Site) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=pending&space=queue")
    await site.upload(bearer(site.key), "?space=queue")
    status, page = await site.json("GET", "/v1/images?visibility=pending&space=queue", site.key)
    assert status == 200
    assert [image["image_id"] for image in page["images"]] == [image_id]  # type: ignore[attr-defined]
    assert (await site.request("DELETE", f"/v1/images/{image_id}", bearer(site.key)))[0] == 204
    assert (await site.request("GET", f"/v1/images/{image_id}"))[0] == 410


async def test_an_upload_token_may_be_for_pending_images(site: Site) -> None:
    status, token = await site.json("POST", "/v1/uploads", site.key, {"visibility": "pending"})
    assert (status, token["visibility"]) == (201, "pending")
    image_id = await site.upload(bearer(str(token["token"])))
    assert (await site.request("GET", f"/v1/images/{image_id}"))[0] == 401


async def test_a_pending_image_does_not_leak_as_a_watermark(site: Site) -> None:
    public, pending = await site.upload(bearer(site.key)), await site.upload(bearer(site.key), "?visibility=pending")
    _, secret = site.new_signer()
    path = f"/v1/images/{public}.png?watermark={pending}"
    assert (await site.request("GET", path))[0] == 401
    assert (await site.request("GET", signing.signed(path, secret)))[0] == 403
    async with site.http.get(site.url + path, headers=bearer(site.key)) as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "private, no-store")


async def test_a_release_leaves_a_trace(site: Site) -> None:
    image_id = await site.upload(bearer(site.key), "?visibility=pending")
    await site.json("PATCH", f"/v1/images/{image_id}", site.key, {"visibility": "public"})
    with closing(sqlite3.connect(site.folder / "images.sqlite3")) as database:
        found = database.execute("SELECT action FROM audit WHERE subject = ? ORDER BY at", [image_id]).fetchall()
    assert found == [("upload",), ("visibility",)]


async def test_all_uploads_may_have_to_be_released(
    tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession
) -> None:
    with closed_site(tmp_path_factory.mktemp("moderated"), http, DEFAULT_VISIBILITY="pending") as site:
        uploader, moderator = site.new_key("upload"), site.new_key("upload", "moderate")
        image_id = await site.upload(bearer(uploader))
        assert (await site.request("GET", f"/v1/images/{image_id}"))[0] == 401
        for visibility in ("public", "private"):
            query = f"/v1/images?visibility={visibility}"
            status, text = await site.request("POST", query, {**JPEG, **bearer(uploader)}, PHOTO)
            assert (status, "uploads are pending here" in json.loads(text)["detail"]) == (403, True)
            assert (await site.json("POST", "/v1/uploads", uploader, {"visibility": visibility}))[0] == 403
        status, token = await site.json("POST", "/v1/uploads", uploader, {})
        assert (status, token["visibility"]) == (201, "pending")
        shown = await site.upload(bearer(moderator), "?visibility=public")
        assert (await site.request("GET", f"/v1/images/{shown}"))[0] == 200
