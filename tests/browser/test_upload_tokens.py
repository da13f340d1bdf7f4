"""A page of a foreign origin uploads with a token that its back end requested."""

import json
from typing import Any

import pytest

from tests.browser.chromium import Browser
from tests.browser.pages import Pages
from tests.imgsvc.sites import JPEG, Site, bearer

MIB = 1024**2
FAST = 6 * MIB
"""Bytes per second of a good line."""


async def token_for(site: Site, **wish: object) -> str:
    """What a back end does."""
    status, answer = await site.json("POST", "/v1/uploads", site.key, wish)
    assert status == 201, answer
    return str(answer["token"])


async def uploaded(browser: Browser, site: Site, token: str, *, in_form: bool = False) -> dict[str, Any]:
    """What the page learns of its upload."""
    headers = bearer(token) if in_form else bearer(token) | JPEG
    answer: dict[str, Any] = await browser.run(
        "upload(url, headers, inForm)", url=f"{site.url}/v1/images", headers=headers, inForm=in_form
    )
    answer["json"] = json.loads(answer["text"]) if answer["text"] else {}
    return answer


_BY_THE_CLIENT = """(async () => {
    const { Client } = await import("/client/index.js");
    const photo = await (await fetch("/photo.jpg")).blob();
    const seen = [];
    const client = new Client(url, { token, retries: 0 });
    const progress = (sent, total) => seen.push([sent, total]);
    const image = await client.upload(photo, { name: "from a page.jpg", title: "page", progress });
    let refused;
    try { await client.upload(photo); } catch (error) { refused = [error.name, error.status, error.detail]; }
    return { id: image.image_id, name: image.original_filename, url: image.thumb(20).url("webp"), seen, refused };
})()"""


async def test_the_client_uploads_from_a_page_with_progress(browser: Browser, pages: Pages, site: Site) -> None:
    token = await token_for(site)
    await browser.open(pages.origin())
    found = await browser.run(_BY_THE_CLIENT, url=site.url, token=token)
    assert found["name"] == "from a page.jpg"
    assert found["seen"][-1][0] == found["seen"][-1][1] > MIB
    assert found["refused"][:2] == ["ApiError", 403]
    assert found["url"] == f"{site.url}/v1/images/{found['id']}.webp?thumb=20"
    assert (await site.request("GET", found["url"].removeprefix(site.url)))[0] == 200


@pytest.mark.parametrize("in_form", [False, True], ids=["raw", "form"])
async def test_a_token_works_once_with_progress(browser: Browser, pages: Pages, site: Site, in_form: bool) -> None:
    token = await token_for(site)
    await browser.open(pages.origin())
    with browser.slow_line(FAST):
        answer = await uploaded(browser, site, token, in_form=in_form)
    assert answer["status"] == 201, answer
    assert answer["location"] == answer["json"]["url"]
    sent = [loaded for loaded, _ in answer["progress"]]
    assert len(set(sent)) >= 4, sent
    assert sent == sorted(sent)
    assert {total for _, total in answer["progress"]} == {sent[-1]}
    assert sent[-1] > 2 * MIB
    assert await browser.run("show(url)", url=site.url + answer["location"]) == 1600

    again = await uploaded(browser, site, token, in_form=in_form)
    assert again["status"] == 403, again
    assert "used already" in again["json"]["detail"]


@pytest.mark.parametrize(
    ("wish", "refusal"),
    [
        ({"max_bytes": MIB}, (413, "larger than")),
        ({"formats": ["png", "webp"]}, (415, "png, webp")),
    ],
    ids=["size", "format"],
)
async def test_a_page_reads_why_its_upload_is_refused(
    browser: Browser, pages: Pages, site: Site, wish: dict[str, object], refusal: tuple[int, str]
) -> None:
    """Even if the answer comes long before the end of the body."""
    token = await token_for(site, **wish)
    await browser.open(pages.origin())
    with browser.slow_line(FAST):
        for in_form in (False, True):
            answer = await uploaded(browser, site, token, in_form=in_form)
            assert answer["status"] == refusal[0], (in_form, answer)
            assert refusal[1] in answer["json"]["detail"]


async def test_a_page_reads_why_its_token_does_not_work(browser: Browser, pages: Pages, site: Site) -> None:
    token = await token_for(site)
    await browser.open(pages.origin())
    with browser.slow_line(FAST):
        for wrong in (token[:-1] + "-", "ut_x"):
            answer = await uploaded(browser, site, wrong)
            assert answer["status"] == 403, answer
            assert "not valid" in answer["json"]["detail"]


async def test_a_token_is_for_uploads_only(browser: Browser, pages: Pages, site: Site) -> None:
    image_id = await site.upload(bearer(site.key) if site.key else {})
    headers = bearer(await token_for(site))
    await browser.open(pages.origin())
    for method, path in (("GET", "/v1/images"), ("DELETE", f"/v1/images/{image_id}"), ("POST", "/v1/uploads")):
        assert (await browser.ask(site.url + path, method, headers=headers))["status"] == 403, path
