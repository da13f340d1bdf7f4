"""What the storage service says is checked: an answer of another version is no error of ours."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from imaging.locator import Located
from service_kit.errors import Unavailable
from tests.transform_service.caching.test_untrusted_redis import ID, RIGHT, dumped
from transform_service.caching.places import BlobPlaces
from transform_service.settings import TransformSettings
from transform_service.sources.storage_client import StorageClient

HEADER = json.loads(RIGHT.header.model_dump_json())
ANSWERS = {
    "elsewhere": (dumped(path="/etc/passwd"), "do not agree where images are"),
    "a private host": (dumped(path=None, url="http://169.254.169.254/"), "do not agree where images are"),
    "another image": (dumped(image_id=ID[::-1]), "another version"),
    "unknown format": (dumped(header={**HEADER, "format": "jxl"}), "another version"),
    "missing field": (b"{}", "another version"),
    "no JSON": (b"<html>", "another version"),
    "too long": (dumped(sha256="a" * 100_000), "another version"),
}


@pytest.fixture
async def answered() -> AsyncIterator[tuple[StorageClient, list[bytes]]]:
    """A client, and what its storage service answers."""
    answers: list[bytes] = []

    async def locate(_request: web.Request) -> web.Response:
        return web.Response(body=answers[0])

    app = web.Application()
    app.router.add_get("/{path:.*}", locate)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    places = BlobPlaces(TransformSettings(blob_url="file:///blobs"))
    client = StorageClient(f"http://127.0.0.1:{runner.addresses[0][1]}", 5, places)
    yield client, answers
    await client.close()
    await runner.cleanup()


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_that_makes_no_sense_is_503(answered: tuple[StorageClient, list[bytes]], name: str) -> None:
    client, answers = answered
    body, text = ANSWERS[name]
    answers.append(body)
    with pytest.raises(Unavailable, match=text):
        await client.locate(ID)


async def test_a_newer_storage_service_may_say_more(answered: tuple[StorageClient, list[bytes]]) -> None:
    """Otherwise the services could not be updated one after the other."""
    client, answers = answered
    answers.append(dumped(more="facts"))
    assert await client.locate(ID) == Located(**RIGHT.model_dump())
