"""A browser, pages of other origins, and services in each mode."""

import json
import re
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests import edge, pictures
from tests.browser import chromium
from tests.browser.chromium import Browser
from tests.browser.pages import Pages
from tests.imgsvc.sites import KEY, Site, closed_site, local_site

PHOTO = bytes(pictures.noise(1600, 1200).jpegsave_buffer(Q=90))
"""Of some MiB."""


@pytest.fixture(scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    async with chromium.started(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="session")
async def pages() -> AsyncIterator[Pages]:
    async with Pages(PHOTO) as started:
        yield started


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    with local_site(tmp_path_factory.mktemp("local"), http) as site:
        yield site


@pytest.fixture(scope="session")
def closed(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession, pages: Pages) -> Iterator[Site]:
    """A service that knows the pages of one origin."""
    allowed = json.dumps([pages.origin(chromium.FRIEND)])
    with closed_site(tmp_path_factory.mktemp("closed"), http, ALLOWED_ORIGINS=allowed) as site:
        yield site


@pytest.fixture(scope="session")
def varnish(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    """A service that requires keys, behind nginx and Varnish."""
    folder = tmp_path_factory.mktemp("varnish")
    with edge.started(folder, AUTH="keys") as started:
        (key,) = set(re.findall(KEY, started.log("storage")))
        yield Site(started.url("varnish"), folder / "data", folder / "storage.log", http, key)


@pytest.fixture(scope="session")
def local_varnish(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    """A service that only this machine reaches, behind nginx and Varnish."""
    folder = tmp_path_factory.mktemp("local_varnish")
    with edge.started(folder, AUTH="auto", PUBLISH="127.0.0.1:8080") as started:
        yield Site(started.url("varnish"), folder / "data", folder / "storage.log", http)


@pytest.fixture(params=["local", "local_varnish"])
def open_site(request: pytest.FixtureRequest) -> Site:
    """Each service that needs no key."""
    site: Site = request.getfixturevalue(request.param)
    return site


async def new_key(site: Site, *scopes: str, **more: str) -> dict[str, str]:
    """A new key, as in the API."""
    wanted = {"name": "test", "scopes": scopes, **more}
    status, made = await site.json("POST", "/v1/keys", site.key, wanted)
    assert status == 201, made
    return {name: str(made.get(name, "")) for name in ("key", "signing_secret")}


@pytest.fixture(params=["closed", "varnish"])
def guarded_site(request: pytest.FixtureRequest) -> Site:
    """Each service that requires keys."""
    site: Site = request.getfixturevalue(request.param)
    return site


@pytest.fixture(params=["local", "local_varnish", "closed", "varnish"])
def site(request: pytest.FixtureRequest) -> Site:
    """Each kind of service."""
    found: Site = request.getfixturevalue(request.param)
    return found
