"""What the storage service says is checked: an answer of another version is no error of ours."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from imaging.locator import Located
from service_kit.errors import ContentLost, Gone, NotFound, ServiceError, Unavailable
from service_kit.http.problems import problem_response
from tests.transform_service.caching.test_untrusted_redis import ID, RIGHT, dumped
from transform_service.caching.memory import MemoryStore
from transform_service.caching.places import BlobPlaces
from transform_service.caching.records import CachedLocator
from transform_service.settings import TransformSettings
from transform_service.sources.storage_client import StorageClient

Answered = tuple[StorageClient, list[bytes | ServiceError | web.Response]]
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
async def answered() -> AsyncIterator[Answered]:
    """A client, and what its storage service answers."""
    answers: list[bytes | ServiceError | web.Response] = []

    async def locate(request: web.Request) -> web.Response:
        answer = answers[0]
        if isinstance(answer, ServiceError):
            return problem_response(request, answer)
        return web.Response(body=answer) if isinstance(answer, bytes) else answer

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
async def test_an_answer_that_makes_no_sense_is_503(answered: Answered, name: str) -> None:
    client, answers = answered
    body, text = ANSWERS[name]
    answers.append(body)
    with pytest.raises(Unavailable, match=text):
        await client.locate(ID)


@pytest.mark.parametrize("error", [NotFound("no"), Gone("no"), ContentLost("no")])
async def test_what_storage_says_about_an_image_is_passed_on(answered: Answered, error: ServiceError) -> None:
    client, answers = answered
    answers.append(error)
    with pytest.raises(type(error), match=ID):
        await client.locate(ID)


@pytest.mark.parametrize("status", [404, 410, 502])
async def test_a_balancer_says_nothing_about_an_image(answered: Answered, status: int) -> None:
    """It answers so while the storage service restarts. Cached records stay valid meanwhile."""
    client, answers = answered
    records = CachedLocator(client, MemoryStore(1024**2), BlobPlaces(TransformSettings(blob_url="file:///blobs")))
    answers.append(dumped())
    await records.locate(ID)
    answers[0] = web.Response(status=status, text="<html>", content_type="text/html")
    with pytest.raises(Unavailable, match="the storage service reported an error; retry later"):
        await client.locate(ID)
    answers[0] = web.Response(status=status, text="<html>", content_type="text/html")
    await records.confirm(ID)


async def test_a_newer_storage_service_may_say_more(answered: Answered) -> None:
    """Otherwise the services could not be updated one after the other."""
    client, answers = answered
    answers.append(dumped(more="facts"))
    assert await client.locate(ID) == Located(**RIGHT.model_dump())


async def test_a_pending_image_is_private_to_versions_that_do_not_know_pending_ones(answered: Answered) -> None:
    client, answers = answered
    records = CachedLocator(client, MemoryStore(1024**2), BlobPlaces(TransformSettings(blob_url="file:///blobs")))
    answers.append(dumped(visibility="private", pending=True))
    located = await records.locate(ID)
    assert (located.visibility, located.actual_visibility) == ("private", "pending")
    assert await records.confirm(ID) == "pending"
    answers[0] = Unavailable("down")
    assert await records.confirm(ID) == "pending"
