"""Services that many tests share: in one process, with and without keys, and behind nginx and Varnish."""

import re
from collections.abc import Iterator

import aiohttp
import pytest

from tests import edge
from tests.imgsvc.sites import KEY, Site, closed_site, local_site


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    """A service that only this machine reaches."""
    with local_site(tmp_path_factory.mktemp("local"), http) as site:
        yield site


@pytest.fixture(scope="session")
def closed(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    """A service that requires keys."""
    with closed_site(tmp_path_factory.mktemp("closed"), http) as site:
        yield site


@pytest.fixture(scope="session")
def varnish(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    """A service that requires keys, behind nginx and Varnish, with jobs."""
    folder = tmp_path_factory.mktemp("varnish")
    with edge.started(folder, AUTH="keys") as started, edge.jobs(started):
        (key,) = set(re.findall(KEY, started.log("storage")))
        yield Site(started.url("varnish"), folder / "data", folder / "storage.log", http, key)


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> Iterator[Site]:
    """A service that requires keys, behind nginx alone."""
    folder = tmp_path_factory.mktemp("nginx")
    with edge.started(folder, AUTH="keys") as started:
        (key,) = set(re.findall(KEY, started.log("storage")))
        yield Site(started.url("nginx"), folder / "data", folder / "storage.log", http, key)


@pytest.fixture(params=["closed", "varnish"])
def guarded(request: pytest.FixtureRequest) -> Site:
    """Each service that requires keys."""
    site: Site = request.getfixturevalue(request.param)
    return site
