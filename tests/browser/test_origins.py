"""A page of a foreign origin, and a service that needs no key since only this machine reaches it."""

import base64
import json
import sqlite3
from contextlib import closing

from tests.browser.chromium import Browser
from tests.browser.pages import Pages
from tests.imgsvc.sites import PHOTO, Site

DATA = base64.b64encode(PHOTO).decode()
READING = {
    "list": "ask(url + '/v1/images')",
    "info": "ask(url + `/v1/images/${image}/info`)",
    "keys": "ask(url + '/v1/keys')",
}
CHANGING = {
    "upload": """ask(url + '/v1/images', {method: 'POST', body: bytes(data),
        headers: {'Content-Type': 'image/jpeg'}})""",
    "upload of a form": "ask(url + '/v1/images', {method: 'POST', body: formWith(data)})",
    "transform": "ask(url + '/v1/transform?thumb=20', {method: 'POST', body: formWith(data)})",
    "upload token": "ask(url + '/v1/uploads', {method: 'POST', body: new Blob(['{}'], {type: 'application/json'})})",
    "key": """ask(url + '/v1/keys', {method: 'POST', headers: {'Content-Type': 'application/json'},
        body: '{"name": "page", "scopes": ["list"]}'})""",
    "visibility": """ask(url + `/v1/images/${image}`, {method: 'PATCH', body: '{"visibility": "private"}',
        headers: {'Content-Type': 'application/json'}})""",
    "deletion": "ask(url + `/v1/images/${image}`, {method: 'DELETE'})",
}
KEYED = {"keys", "key"}
"""These require a key everywhere: one that anybody could make would outlast the time when nobody needed one."""
BLIND = {
    "form": "submitForm(url + '/v1/images', data)",
    "fetch of a form": "ask(url + '/v1/images', {method: 'POST', mode: 'no-cors', body: formWith(data)})",
    "beacon": "beacon(url + '/v1/images', formWith(data))",
}
"""What a browser sends without a preflight. The page does not get the response."""
MISTYPED = {
    "form of text": "submitForm(url + '/v1/images', data, 'text/plain')",
    "form by a detour": "submitForm(`/bounce?to=${encodeURIComponent(url + '/v1/images')}`, data)",
    "fetch of bytes": "ask(url + '/v1/images', {method: 'POST', mode: 'no-cors', body: bytes(data)})",
    "fetch of text": """ask(url + '/v1/images', {method: 'POST', mode: 'no-cors',
        body: new Blob([bytes(data)], {type: 'text/plain'})})""",
    "upload token": "ask(url + '/v1/uploads', {method: 'POST', mode: 'no-cors', body: '{}'})",
    "key": """ask(url + '/v1/keys', {method: 'POST', mode: 'no-cors', body: '{"name": "page", "scopes": ["list"]}'})""",
}
"""The same, in forms that only a page of another origin has to use."""
TABLES = ("images", "keys", "upload_tokens", "spaces")
EMBEDDING = ("iframe", "object", "embed", "script", "img", "video")


def state(site: Site) -> list[list[object]]:
    """All that a page could change."""
    with closing(sqlite3.connect(site.folder / "images.sqlite3")) as database:
        return [database.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES]


def foreign_pages(pages: Pages) -> list[str]:
    return [
        *(pages.origin() + path for path in ("/", "/sandboxed", "/silent")),
        pages.origin("localhost") + "/",
        pages.origin("127.0.0.1") + "/silent",
        pages.origin("foreign.localhost") + "/isolated",
    ]


async def test_a_page_of_the_service_itself_may_do_everything(browser: Browser, open_site: Site) -> None:
    """Shows that the requests of the other tests are right."""
    image_id = await open_site.upload()
    await browser.open(f"{open_site.url}/v1/images/healthcheck")
    for name, expression in (READING | CHANGING).items():
        answer = await browser.run(expression, url=open_site.url, image=image_id, data=DATA)
        assert answer["status"] in ({401} if name in KEYED else {200, 201, 204}), (name, answer)
    assert (await open_site.request("GET", f"/v1/images/{image_id}"))[0] == 410
    for name, expression in BLIND.items():
        before = state(open_site)
        await browser.run(expression, url=open_site.url, data=DATA)
        assert state(open_site) != before, name


async def test_a_foreign_page_cannot_list_upload_or_delete(browser: Browser, pages: Pages, open_site: Site) -> None:
    image_id = await open_site.upload()
    before = state(open_site)
    for page in foreign_pages(pages):
        await browser.open(page)
        for name, expression in (READING | CHANGING).items():
            answer = await browser.run(expression, url=open_site.url, image=image_id, data=DATA)
            assert answer["status"] == 403, (page, name, answer)
            assert "ALLOWED_ORIGINS" in json.loads(answer["text"])["detail"], (page, name)
        for expression in (BLIND | MISTYPED).values():
            await browser.run(expression, url=open_site.url, data=DATA)
        assert state(open_site) == before, page


async def test_a_foreign_page_shows_pictures(browser: Browser, pages: Pages, open_site: Site) -> None:
    image_id = await open_site.upload()
    for page in foreign_pages(pages):
        await browser.open(page)
        for path in (f"/v1/images/{image_id}", f"/v1/images/{image_id}.webp?thumb=20", f"/image/{image_id}"):
            for attributes in ({}, {"crossOrigin": "anonymous"}):
                assert await browser.run("show(url, attributes)", url=open_site.url + path, attributes=attributes)


async def test_a_page_that_embeds_a_list_learns_nothing_of_it(browser: Browser, pages: Pages, open_site: Site) -> None:
    """Not even its size, which would tell how many images there are."""
    image_id = await open_site.upload()
    await browser.open(pages.origin())
    for tag in EMBEDDING:
        for path in ("/v1/images", f"/v1/images/{image_id}/info"):
            found = await browser.run("measure(tag, url)", tag=tag, url=open_site.url + path)
            assert not any(found), (tag, path, found)
    picture = f"{open_site.url}/v1/images/{image_id}"
    assert any(await browser.run("measure('img', url)", url=picture)), "pages may measure how fast pictures are"
