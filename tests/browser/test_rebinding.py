"""DNS rebinding: a host name leads to its own server, which sends a page, and then to the service on this machine.

To the browser, the page and the service are one origin. It reads all responses, and GET has no `Origin`.
"""

import json

from tests.browser import chromium
from tests.browser.chromium import Browser
from tests.browser.forwarder import Forwarder
from tests.browser.pages import Pages
from tests.browser.test_origins import BLIND, CHANGING, DATA, KEYED, READING, state
from tests.imgsvc.sites import Site, bearer

SHOWN = "show(url + `/v1/images/${image}`)"


async def test_a_rebound_page_gets_and_changes_nothing(browser: Browser, pages: Pages, open_site: Site) -> None:
    image_id = await open_site.upload()
    before = state(open_site)
    async with Forwarder(pages.address) as forwarder:
        url = f"http://{chromium.REBOUND}:{forwarder.port}"
        await browser.open(url + "/")
        await forwarder.switch(open_site.url)
        for name, expression in (READING | CHANGING).items():
            answer = await browser.run(expression, url=url, image=image_id, data=DATA)
            assert answer["status"] == 403, (name, answer)
            assert answer["type"] == "basic", "it is the page's own origin"
            assert "ALLOWED_HOSTS" in json.loads(answer["text"])["detail"]
        for expression in BLIND.values():
            await browser.run(expression, url=url, data=DATA)
        assert not await browser.run(SHOWN, url=url, image=image_id), "not even pictures"
        assert state(open_site) == before


async def test_a_page_under_a_name_of_this_machine_gets_everything(
    browser: Browser, pages: Pages, open_site: Site
) -> None:
    """Shows that it is the name that is refused, and not the way."""
    image_id = await open_site.upload()
    async with Forwarder(pages.address) as forwarder:
        url = f"http://localhost:{forwarder.port}"
        await browser.open(url + "/")
        await forwarder.switch(open_site.url)
        assert await browser.run(SHOWN, url=url, image=image_id)
        for name, expression in (READING | CHANGING).items():
            answer = await browser.run(expression, url=url, image=image_id, data=DATA)
            assert answer["status"] in ({401} if name in KEYED else {200, 201, 204}), (name, answer)


async def test_where_keys_are_required_a_rebound_page_has_none(
    browser: Browser, pages: Pages, guarded_site: Site
) -> None:
    image_id = await guarded_site.upload(bearer(guarded_site.key))
    before = state(guarded_site)
    async with Forwarder(pages.address) as forwarder:
        url = f"http://{chromium.REBOUND}:{forwarder.port}"
        await browser.open(url + "/")
        await forwarder.switch(guarded_site.url)
        for each, expression in (READING | CHANGING).items():
            answer = await browser.run(expression, url=url, image=image_id, data=DATA)
            assert answer["status"] == 401, (each, answer)
        assert state(guarded_site) == before
