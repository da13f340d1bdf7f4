"""Deleting all images that a search finds."""

import asyncio
import json
from typing import Any

import pytest

from tests.imgsvc.sites import JPEG, PHOTO, Site, bearer


@pytest.fixture
def site(closed: Site) -> Site:
    return closed


async def upload(site: Site, tags: str, key: str = "") -> str:
    """The ID of an image with tags."""
    status, text = await site.request("POST", f"/v1/images?tags={tags}", JPEG | bearer(key or site.key), PHOTO)
    assert status == 201, text
    return str(json.loads(text)["image_id"])


async def ended(site: Site, deletion: dict[str, Any], key: str = "") -> dict[str, Any]:
    """A deletion when it is over."""
    async with asyncio.timeout(30):
        while deletion["state"] == "running":
            _, deletion = await site.json("GET", f"/v1/deletions/{deletion['deletion_id']}", key or site.key)
            await asyncio.sleep(0.02)
    return deletion


async def status_of(site: Site, image_id: str) -> int:
    return (await site.request("GET", f"/v1/images/{image_id}"))[0]


async def test_what_a_search_finds_is_deleted_and_nothing_else(site: Site) -> None:
    old = [await upload(site, "draft,old") for _ in range(3)]
    other = [await upload(site, "draft"), await upload(site, "old")]
    status, begun = await site.json("POST", "/v1/deletions", site.key, {"tags": ["draft", "old"]})
    assert status == 202, begun
    done = await ended(site, begun)
    assert (done["state"], done["deleted"], done["failed"]) == ("done", 3, 0)
    assert [await status_of(site, image_id) for image_id in old] == [410] * 3
    assert [await status_of(site, image_id) for image_id in other] == [200] * 2
    listed = (await site.json("GET", "/v1/deletions", site.key))[1]["deletions"]
    assert listed[0] == done
    _, trail = await site.json("GET", f"/v1/audit?subject={old[0]}", site.key)
    assert [entry["action"] for entry in trail["entries"]] == ["delete", "upload"]


async def test_a_key_of_a_space_deletes_only_there(site: Site) -> None:
    key = site.new_key("upload", "delete", space="a")
    mine, theirs = await upload(site, "all-spaces", key), await upload(site, "all-spaces")
    _, begun = await site.json("POST", "/v1/deletions", key, {"tags": ["all-spaces"]})
    assert (await ended(site, begun, key))["deleted"] == 1
    assert (await status_of(site, mine), await status_of(site, theirs)) == (410, 200)
    assert (await site.json("GET", f"/v1/deletions/{begun['deletion_id']}", site.new_key("delete", space="b")))[
        0
    ] == 404
    assert (await site.json("POST", "/v1/deletions", key, {"tags": ["x"], "space": "b"}))[0] == 404


async def test_later_uploads_stay_and_a_deletion_that_has_ended_cannot_be_stopped(site: Site) -> None:
    await upload(site, "again")
    _, begun = await site.json(
        "POST", "/v1/deletions", site.key, {"tags": ["again"], "created_after": "2020-01-01T00:00:00Z"}
    )
    late = await upload(site, "again")
    done = await ended(site, begun)
    assert (await site.json("POST", f"/v1/deletions/{begun['deletion_id']}/stop", site.key))[1] == done
    assert await status_of(site, late) == 200


@pytest.mark.parametrize(
    ("wanted", "status", "detail"),
    [
        ({}, 400, "`all: true`"),
        ({"space": "a"}, 400, "`all: true`"),
        ({"tag": ["x"]}, 400, "unknown field 'tag'; did you mean 'tags'?"),
        ({"tags": []}, 400, "tags has 0 entries; use at least 1"),
        ({"tags": [""]}, 400, "tags.0"),
        ({"tags": [" "]}, 400, "tags.0"),
        ({"tags": ["a,b"]}, 400, "tags.0"),
        ({"q": ""}, 400, "has no words"),
        ({"colour": "teal"}, 400, "is not a basic colour"),
        ({"q": "…"}, 400, "has no words"),
        ({"min_width": 0}, 400, "min_width"),
    ],
)
async def test_what_would_delete_the_wrong_images_is_refused(
    site: Site, wanted: object, status: int, detail: str
) -> None:
    image_id = await upload(site, "kept")
    got, answer = await site.json("POST", "/v1/deletions", site.key, wanted)
    assert (got, detail in str(answer["detail"])) == (status, True), answer
    assert await status_of(site, image_id) == 200


async def test_a_deletion_needs_the_scope_delete(site: Site) -> None:
    for key, status in ((site.new_key("upload", "list"), 403), ("", 401)):
        assert (await site.json("POST", "/v1/deletions", key, {"tags": ["x"]}))[0] == status
