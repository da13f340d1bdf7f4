"""Pictures on pages: under COEP, from caches, and private ones by signed URLs."""

from tests.browser.chromium import Browser
from tests.browser.conftest import new_key
from tests.browser.pages import Pages
from tests.imgsvc.sites import Site, bearer

SECURE = "foreign.localhost"
"""COEP only works in secure contexts, which pages of this machine are without TLS."""


def paths(image_id: str) -> list[str]:
    return [
        f"/v1/images/{image_id}",
        f"/v1/images/{image_id}.webp?thumb=20",
        f"/image/{image_id}?rotate=90",
        f"/v1/transform?image_id={image_id}&thumb=30",
    ]


async def uploaded(site: Site, query: str = "") -> str:
    return await site.upload(bearer(site.key) if site.key else {}, query)


async def test_isolated_pages_show_pictures(browser: Browser, pages: Pages, site: Site) -> None:
    image_id = await uploaded(site)
    await browser.open(pages.origin(SECURE) + "/isolated")
    assert await browser.run("crossOriginIsolated")
    assert not await browser.run("show(url)", url=pages.origin() + "/photo.jpg"), "COEP blocks other pictures"
    for path in paths(image_id):
        for number in range(2):  # cold, then from the cache of Varnish
            await browser.forget()
            for attributes in ({}, {"crossOrigin": "anonymous"}):
                assert await browser.run("show(url, attributes)", url=site.url + path, attributes=attributes), path
            if "varnish" in site.log.parent.name:
                answer = await browser.ask(site.url + path, cache="no-store")
                assert answer["headers"]["x-cache"] == "HIT", (path, number)


async def test_a_private_picture_needs_a_signature(browser: Browser, pages: Pages, guarded_site: Site) -> None:
    site = guarded_site
    image_id = await uploaded(site, "?visibility=private")
    secret = (await new_key(site, "sign"))["signing_secret"]
    path = f"/v1/images/{image_id}.webp?w=20"
    arguments = ("--widths=20,40", "--srcset", "--expires=1h")
    srcset = site.command("sign", site.url + path, *arguments, SIGNING_SECRET=secret).strip()
    assert srcset.count(site.url) == 2, srcset
    signed = srcset.split()[0]
    for page in (pages.origin() + "/", pages.origin(SECURE) + "/isolated"):
        await browser.open(page)
        for _ in range(2):
            await browser.forget()
            for sizes in ("20px", "40px"):
                attributes = {"srcset": srcset, "sizes": sizes}
                assert await browser.run("show('', attributes)", attributes=attributes), (page, sizes)
            assert await browser.run("show(url)", url=signed) == 20
            for wrong in (site.url + path, signed[:-1] + ("A" if signed[-1] != "A" else "B"), signed + "&v=1"):
                assert not await browser.run("show(url)", url=wrong), wrong
            assert not await browser.run("show('', attributes)", attributes={"srcset": f"{site.url}{path} 20w"})
    answer = await browser.ask(signed)
    assert answer["headers"]["cache-control"].startswith("private, max-age=")


async def test_a_browser_keeps_a_private_picture_for_its_page_only_with_the_signature(
    browser: Browser, pages: Pages, guarded_site: Site
) -> None:
    site = guarded_site
    image_id = await uploaded(site, "?visibility=private")
    url = f"{site.url}/v1/images/{image_id}"
    await browser.open(pages.origin())
    headers = bearer((await new_key(site, "read"))["key"])
    for _ in range(2):
        assert (await browser.ask(url, headers=headers))["status"] == 200
        answer = await browser.ask(url)
        assert answer["status"] == 401, "not the copy from before"
        assert answer["headers"]["www-authenticate"] == 'Bearer realm="imgsvc"'
        assert not await browser.run("show(url)", url=url)
