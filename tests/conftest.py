"""Fixtures that many tests share."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests import pictures, servers

os.environ.setdefault("VIPS_CONCURRENCY", "1")
os.environ.setdefault("AUTH", "open")  # tests/imgsvc/test_access.py is about who may do what


@pytest.fixture(scope="session")
def wallpapers() -> list[Path]:
    found = pictures.wallpapers()
    if not found:
        servers.missing("plasma-workspace-wallpapers is not installed")
    return found


@pytest.fixture(scope="session")
def photo(wallpapers: list[Path]) -> Path:
    """A photo of 15 MP."""
    return next(path for path in wallpapers if "Flow/contents/images/5120x2880" in str(path))


@pytest.fixture(scope="session")
def photo_bytes(photo: Path) -> bytes:
    """The bytes of that photo."""
    return photo.read_bytes()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def s3_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with servers.s3(tmp_path_factory.mktemp("s3")) as settings:
        yield settings


@pytest.fixture(scope="session")
def rclone_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with servers.s3(tmp_path_factory.mktemp("rclone"), "rclone") as settings:
        yield settings


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session
