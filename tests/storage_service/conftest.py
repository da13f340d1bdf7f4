"""A storage service in its own runner, with SQLite and files."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service_kit.http.server import Runner, listen
from storage_service.app import create_app
from storage_service.blobs import Blobs
from storage_service.derived import Derived
from storage_service.events import Events
from storage_service.http.receiving import LIBRARY
from storage_service.jobs import Jobs
from storage_service.levels import Levels
from storage_service.library import Library
from storage_service.looks import Looks
from storage_service.metadata.base import DatabaseConfig, MetadataStore, create_store
from storage_service.precomputed import Precomputed
from storage_service.settings import StorageSettings
from storage_service.usage import Usage
from storage_service.variants import Variants
from tests.storage_service.test_metadata import URLS, empty


def derived(store: MetadataStore, blobs: Blobs) -> dict[str, Any]:
    """The parts of a library besides records and blobs. Levels are turned off."""
    made = Derived(
        Levels(store, blobs, 0), Variants(store, blobs, 10**9), Precomputed(store), Jobs(store), Looks(store)
    )
    return {"derived": made, "usage": Usage(store), "events": Events(store, lambda _: {})}


@dataclass(frozen=True)
class Storage:
    """A running storage service, and a session to talk to it."""

    url: str
    library: Library
    http: aiohttp.ClientSession

    async def upload(self, body: bytes, content_type: str = "image/jpeg") -> str:
        """Upload an image, and return its ID."""
        headers = {"Content-Type": content_type}
        async with self.http.post(f"{self.url}/v1/images", data=body, headers=headers) as response:
            assert response.status == 201, await response.text()
            return str((await response.json())["image_id"])

    async def get(self, path: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
        """The response to a GET, and its body."""
        async with self.http.get(f"{self.url}{path}", headers=headers) as response:
            return response, await response.read()


@pytest.fixture
async def storage(tmp_path: Path, http: aiohttp.ClientSession) -> AsyncIterator[Storage]:
    app = create_app(StorageSettings(data_dir=tmp_path))
    runner = Runner(app)
    await runner.setup()
    yield Storage(await listen(runner, "127.0.0.1", 0), app[LIBRARY], http)
    await runner.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MetadataStore]:
    """A store in each database, empty."""
    url = f"sqlite:///{tmp_path}/images.sqlite3"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        await empty(url)
    store = create_store(DatabaseConfig(url, None, 5))
    URLS[id(store)] = url
    await store.open()
    yield store
    await store.close()
