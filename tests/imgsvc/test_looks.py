"""What images look like: in lists, in searches by colour, and in those for similar images."""

import asyncio
import json
import re
from typing import Any

import pytest
import pyvips

from tests import pictures
from tests.imgsvc.sites import JPEG, Site, bearer

SECONDS = 20


@pytest.fixture(params=["local", "varnish"])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found


def photo() -> pyvips.Image:
    """Some shapes on orange."""
    image = pyvips.Image.black(400, 300, bands=3) + [250, 140, 10]
    image = image.cast("uchar").copy(interpretation="srgb")
    return image.draw_circle([20, 30, 200], 90, 120, 60, fill=True).draw_rect(
        [255, 255, 255], 250, 40, 120, 200, fill=True
    )


async def upload(site: Site, body: bytes) -> str:
    """The ID of a new image."""
    headers = JPEG | (bearer(site.key) if site.key else {})
    status, text = await site.request("POST", "/v1/images", headers, body)
    assert status == 201, text
    return str(json.loads(text)["image_id"])


async def looked_at(site: Site, image_id: str) -> dict[str, Any]:
    """What is known of an image once a job has looked at it."""
    async with asyncio.timeout(SECONDS):
        while True:
            _, info = await site.json("GET", f"/v1/images/{image_id}/info", site.key)
            if info["thumbhash"]:
                return info
            await asyncio.sleep(0.05)


async def similar(site: Site, image_id: str, key: str = "") -> list[tuple[str, int]]:
    """The similar images, and in how many bits they differ."""
    status, found = await site.json("GET", f"/v1/images/{image_id}/similar", key or site.key)
    assert status == 200, found
    images: Any = found["images"]
    return [(each["image"]["image_id"], each["distance"]) for each in images]


async def test_images_have_colours_a_thumbhash_and_similar_ones(site: Site) -> None:
    original = await upload(site, photo().jpegsave_buffer(Q=95))
    small = await upload(site, photo().resize(0.4).jpegsave_buffer(Q=60))
    other = await upload(site, pictures.noise(200, 150).jpegsave_buffer())
    info = await looked_at(site, original)
    assert re.fullmatch("#f[0-9a-f]8[0-9a-f]0[0-9a-f]", info["colour"]), info["colour"]
    assert info["colours"] == ["white", "orange"]
    assert re.fullmatch("[0-9a-f]{16}", info["phash"])
    for image_id in (small, other):
        await looked_at(site, image_id)

    assert [found for found, distance in await similar(site, original) if distance <= 4] == [small]
    assert other not in dict(await similar(site, original))

    listed = (await site.json("GET", "/v1/images?colour=orange", site.key))[1]["images"]
    assert {image["image_id"]: image["thumbhash"] for image in listed}[original] == info["thumbhash"]
    assert other not in {image["image_id"] for image in listed}
    assert (await site.json("DELETE", f"/v1/images/{small}", site.key))[0] == 204
    assert small not in dict(await similar(site, original))


async def test_similar_images_of_other_spaces_do_not_exist(varnish: Site) -> None:
    body = photo().rot90().jpegsave_buffer()
    mine, theirs = varnish.new_key("upload", "list", space="a"), varnish.new_key("upload", "list", space="b")
    ids = {}
    for key in (mine, theirs):
        _, text = await varnish.request("POST", "/v1/images", JPEG | bearer(key), body)
        ids[key] = json.loads(text)["image_id"]
    await looked_at(varnish, ids[mine])
    assert ids[theirs] not in dict(await similar(varnish, ids[mine], mine))
    assert dict(await similar(varnish, ids[mine]))[ids[theirs]] == 0
    assert (await varnish.json("GET", f"/v1/images/{ids[theirs]}/similar", mine))[0] == 404
    assert (await varnish.json("GET", f"/v1/images/{ids[mine]}/similar"))[0] == 401


@pytest.mark.parametrize(
    "body",
    [
        bytes(pictures.gradient(20, 10).pngsave_buffer()),
        bytes(pictures.gradient(300, 200, 4).pngsave_buffer()),
        bytes(pictures.gradient(3000, 2000).jpegsave_buffer()),
        bytes((pictures.gradient(300, 200, 1)).pngsave_buffer(bitdepth=8)),
        bytes(pictures.gradient(40, 30).cast("ushort").copy(interpretation="rgb16").pngsave_buffer()),
        bytes(pictures.gradient(1, 1).pngsave_buffer()),
        bytes(pictures.gradient(2, 900).webpsave_buffer()),
    ],
    ids=["small-png", "alpha", "levels", "grey", "16-bit", "one-pixel", "narrow"],
)
async def test_every_kind_of_image_is_looked_at(local: Site, body: bytes) -> None:
    image_id = await upload(local, body)
    info = await looked_at(local, image_id)
    assert info["colour"]
    # Not what the job looked at, although neither has operations in its query.
    _, picture = await local.request_bytes(f"/v1/images/{image_id}.png")
    shown = pyvips.Image.new_from_buffer(picture, "")
    assert (shown.width, shown.height) == (info["width"], info["height"])


async def test_a_wrong_colour_is_refused_with_the_right_ones(local: Site) -> None:
    status, answer = await local.json("GET", "/v1/images?colour=teal")
    assert status == 400
    assert "black, white, grey, red" in str(answer["detail"])
