"""What pages of other origins may send and read."""

import json

from tests.browser import chromium
from tests.browser.chromium import Browser
from tests.browser.conftest import new_key
from tests.browser.forwarder import Forwarder
from tests.browser.pages import Pages
from tests.imgsvc.sites import PHOTO, Site, bearer


async def uploaded(site: Site) -> str:
    return await site.upload(bearer(site.key) if site.key else {})


async def test_a_page_reads_headers_and_sends_conditions(browser: Browser, pages: Pages, site: Site) -> None:
    image_id = await uploaded(site)
    await browser.open(pages.origin())
    behind_varnish = "varnish" in site.log.parent.name
    for path in (f"/v1/images/{image_id}", f"/v1/images/{image_id}.png?thumb=20"):
        url = site.url + path
        for number in range(2):
            options = {"cache": "no-store", "headers": {"X-Request-ID": f"page-{number}"}}
            answer = await browser.ask(url, **options)
            headers = answer["headers"]
            assert (answer["status"], headers["x-request-id"], headers["api-version"]) == (200, f"page-{number}", "1")
            assert not behind_varnish or headers["x-cache"] == ("HIT" if number else "MISS")
            etag = headers["etag"]
            for known, status in ((etag, 304), (f'"x", {etag}', 304), ('"x"', 200), ("*", 304)):
                answer = await browser.ask(url, headers={"If-None-Match": known})
                assert answer["status"] == status, (path, known)
                assert answer["headers"]["etag"] == etag
            for expected, status in ((etag, 200), ('"x"', 412)):
                answer = await browser.ask(url, headers={"If-Match": expected})
                assert (answer["status"], "x-request-id" in answer["headers"]) == (status, True), (path, expected)


async def test_a_page_reads_ranges(browser: Browser, pages: Pages, site: Site) -> None:
    await browser.open(pages.origin())
    image_id = await uploaded(site)
    url = f"{site.url}/v1/images/{image_id}"
    size = len(PHOTO)
    for _ in range(2):
        for given, found in (
            ("bytes=0-9", f"bytes 0-9/{size}"),
            ("bytes=-10", f"bytes {size - 10}-{size - 1}/{size}"),
            ("bytes=5-", f"bytes 5-{size - 1}/{size}"),
        ):
            answer = await browser.ask(url, headers={"Range": given})
            assert (answer["status"], answer["headers"]["content-range"]) == (206, found), given
            etag = answer["headers"]["etag"]
            answer = await browser.ask(url, headers={"Range": given, "If-Range": etag})
            assert answer["status"] == 206
            answer = await browser.ask(url, headers={"Range": given, "If-Range": '"x"'})
            assert answer["status"] == 200
        answer = await browser.ask(url, headers={"Range": f"bytes={size}-"}, cache="no-store")
        assert (answer["status"], answer["headers"]["content-range"]) == (416, f"bytes */{size}")
        await browser.ask(url)  # now it is in the cache of Varnish


async def test_a_page_reads_when_to_retry(browser: Browser, pages: Pages, guarded_site: Site) -> None:
    site = guarded_site
    key = (await new_key(site, "upload", space="hasty"))["key"]
    assert (await site.json("PUT", "/v1/spaces/hasty", site.key, {"max_uploads_per_minute": 0}))[0] == 200
    _, token = await site.json("POST", "/v1/uploads", key, {})
    await browser.open(pages.origin())
    expression = "ask(url, {method: 'POST', headers, body: new Blob(['x'], {type: 'image/jpeg'})})"
    answer = await browser.run(expression, url=f"{site.url}/v1/images", headers=bearer(str(token["token"])))
    assert answer["status"] == 429, answer
    assert 0 < int(answer["headers"]["retry-after"]) <= 60


async def test_a_page_that_tries_keys_reads_that_it_has_to_wait(
    browser: Browser, pages: Pages, guarded_site: Site
) -> None:
    image_id = await uploaded(guarded_site)
    await browser.open(pages.origin())
    async with Forwarder(guarded_site.url, "127.0.0.9") as forwarder:
        url = f"http://127.0.0.1:{forwarder.port}/v1/images/{image_id}"
        for number in range(100):
            answer = await browser.ask(url, headers=bearer(f"ik_{number:012}_{'A' * 43}"), cache="no-store")
            if answer["status"] != 403:
                break
        assert answer["status"] == 429, answer
    assert int(answer["headers"]["retry-after"]) > 0
    assert json.loads(answer["text"])["request_id"] == answer["headers"]["x-request-id"]


async def test_a_page_of_an_allowed_origin_may_use_a_key(browser: Browser, pages: Pages, closed: Site) -> None:
    image_id = await uploaded(closed)
    headers = bearer((await new_key(closed, "list", "upload", "delete"))["key"])
    for name, listed, deleted in ((chromium.FOREIGN, 403, 403), (chromium.FRIEND, 200, 204)):
        await browser.open(pages.origin(name))
        assert (await browser.ask(f"{closed.url}/v1/images", headers=headers))["status"] == listed
        change = {"headers": headers | {"Content-Type": "application/json"}, "body": '{"visibility": "private"}'}
        assert (await browser.ask(f"{closed.url}/v1/images/{image_id}", "PATCH", **change))["status"] == listed
        answer = await browser.ask(f"{closed.url}/v1/images/{image_id}", "DELETE", headers=headers)
        assert answer["status"] == deleted
    assert (await browser.ask(f"{closed.url}/v1/images"))["status"] == 401
