"""Who needs a key depends on where docker-compose.yml publishes the service."""

import json
import re
from collections.abc import Iterator

import aiohttp
import pytest

from tests import pictures
from tests.compose import stack
from tests.servers import ROOT

_KEY = re.compile("ik_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")
_SECRET = "an access secret that must not be shown anywhere"
JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture
def started() -> Iterator[stack.Stack]:
    with stack.up(ROOT, "prod", "imgsvc-test-access", settings={"AUTH": "", "ACCESS_SECRET": _SECRET}) as running:
        yield running


@pytest.mark.timeout(600)
async def test_publishing_to_others_turns_keys_on(started: stack.Stack) -> None:
    photo = pictures.jpeg()
    # Each part of the test has its own connections, since `up` ends those of the container that it replaces.
    async with aiohttp.ClientSession() as http:
        image_id = await _works_without_a_key(started, http, photo)
    started.environment["PUBLISH"] = started.environment["PUBLISH"].replace("127.0.0.1", "0.0.0.0")
    started.run("up", "-d")
    started.wait()
    async with aiohttp.ClientSession() as http:
        await _needs_a_key(started, http, photo, image_id)


async def _works_without_a_key(started: stack.Stack, http: aiohttp.ClientSession, photo: bytes) -> str:
    async with http.post(f"{started.url}/v1/images?visibility=private", data=photo, headers=JPEG) as answer:
        assert answer.status == 201, "on this machine, nobody needs a key"
        image_id = str((await answer.json())["image_id"])
    async with http.get(f"{started.url}/v1/images", headers={"Host": "evil.example"}) as answer:
        assert answer.status == 403, await answer.text()
    assert not _KEY.search(started.log("storage"))
    return image_id


async def _needs_a_key(started: stack.Stack, http: aiohttp.ClientSession, photo: bytes, image_id: str) -> None:
    (admin,) = set(_KEY.findall(started.log("storage")))
    async with http.post(f"{started.url}/v1/images", data=photo, headers=JPEG) as answer:
        assert answer.status == 401
    keyed = {"Authorization": f"Bearer {admin}"}
    async with http.get(f"{started.url}/v1/images", headers=keyed) as answer:
        assert [image["image_id"] for image in (await answer.json())["images"]] == [image_id]
    path = f"/v1/images/{image_id}.webp?thumb=9"
    execute = ("exec", "-T")
    create = ("python", "-m", "storage_service.keys", "create", "web", "--scope", "sign", "--json")
    new = json.loads(started.run(*execute, "storage", *create))
    sign = ("python", "-m", "storage_service.sign", path, "--expires", "1h")
    signed = started.run(*execute, "-e", f"SIGNING_SECRET={new['signing_secret']}", "storage", *sign).strip()
    for _ in range(2):
        for target, headers, status in (
            (path, {}, 401),
            (path, keyed, 200),
            (signed, {}, 200),
            (signed + "A", {}, 403),
        ):
            async with http.get(started.url + target, headers=headers) as answer:
                assert answer.status == status, target
    logs = "".join(
        started.log(service) for service in ("varnish", "nginx", "storage", "transform", "redis", "postgres")
    )
    assert image_id in logs
    for secret in (_SECRET, new["key"], new["signing_secret"], signed.rpartition("=")[2]):
        assert secret not in logs
