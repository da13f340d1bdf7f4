"""Blobs in an object store that is slow, fails, lies or is down."""

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests import pictures, servers
from tests.faults import proxy as faults
from tests.faults.length import LONG
from tests.faults.proxy import Proxy

SMALL = bytes(pictures.noise(200, 150).jpegsave_buffer())
LARGE = bytes(pictures.noise(1200, 900).pngsave_buffer())
"""More than is verified before the first byte is sent."""
_BLOB_SECONDS = 1
_MOST_SECONDS = 12
"""For five attempts to store, and the rest."""
_LOOK_SECONDS = 30
_FAILED = {502, 503, 504}


@dataclass
class Site:
    """A service whose blobs are behind a proxy."""

    url: str
    proxy: Proxy
    http: aiohttp.ClientSession
    environment: dict[str, str]
    numbers: int = 0

    def body(self, start: bytes = SMALL) -> bytes:
        """An image that was never uploaded before."""
        self.numbers += 1
        return start + self.numbers.to_bytes(4)

    async def upload(self, body: bytes) -> tuple[int, str]:
        """Status and ID."""
        form = aiohttp.FormData()
        form.add_field("image", io.BytesIO(body), filename="x")
        async with self.http.post(f"{self.url}/v1/images", data=form) as answer:
            return answer.status, (await answer.json(content_type=None)).get("image_id", "")

    async def cold(self, *bodies: bytes) -> list[str]:
        """The IDs of new images that a job has looked at, and that no disk cache has any more."""
        ids = [(await self.upload(body))[1] for body in bodies]
        async with asyncio.timeout(_LOOK_SECONDS):
            for image_id in ids:
                while not json.loads((await self.get(f"{image_id}/info"))[1])["thumbhash"]:
                    await asyncio.sleep(0.02)
        for body in bodies:
            (self.sources / hashlib.sha256(body).hexdigest()).unlink()
        return ids

    @property
    def sources(self) -> Path:
        """The folder of the disk cache."""
        return Path(self.environment["DATA_DIR"]).parent / "spool" / "sources"

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body; status 0 if the answer was broken off."""
        try:
            async with self.http.get(f"{self.url}/v1/images/{path}") as answer:
                body = await answer.read()
                if answer.status >= 400:
                    assert answer.headers["Cache-Control"] == "no-store"
                    assert answer.content_type == "application/problem+json"
                return answer.status, body
        except aiohttp.ClientPayloadError:
            return 0, b""

    def scrub(self) -> dict[str, object]:
        """The report of a scrub, with the store as it is now."""
        command = [sys.executable, "-m", "imgsvc", "scrub", "--json", "--rate", "0"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        return dict(json.loads(done.stdout))


@pytest.fixture(scope="module", params=["rclone", "moto"] if LONG else ["rclone"])
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession
) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp(f"store-{request.param}")
    with servers.s3(folder, request.param) as settings:
        async with Proxy(urlsplit(settings["AWS_ENDPOINT"]).port or 0).running() as proxy:
            settings |= {
                "AWS_ENDPOINT": f"http://127.0.0.1:{proxy.port}",
                "BLOB_URL": "s3://bucket/images",
                "BLOB_SECONDS": str(_BLOB_SECONDS),
                "DATA_DIR": str(folder / "data"),
                "RENDERERS": "1",
            }
            with servers.serve(folder, **settings) as served:
                environment = {**os.environ, **settings, "PYTHONPATH": str(servers.ROOT)}
                yield Site(served.url, proxy, http, environment)


async def in_time(task: "asyncio.Future[tuple[int, object]]") -> tuple[int, object]:
    started = time.monotonic()
    result = await task
    assert time.monotonic() - started < _MOST_SECONDS
    return result


@pytest.mark.parametrize("fault", [*faults.SLOW, *faults.FAILING, *faults.LYING], ids=lambda fault: fault.__name__)
async def test_reads_fail_in_time_and_never_show_wrong_bytes(site: Site, fault: Callable[..., object]) -> None:
    bodies = [site.body(SMALL), site.body(LARGE)]
    ids = await site.cold(*bodies)
    site.proxy.fault = fault
    try:
        paths = ["{}", "{}?thumb=30", "{}.webp", "{}.jpg" if fault != faults.corrupting else "{}?rotate=90"]
        asked = [(number, path.format(ids[number])) for number in (0, 1) for path in paths]
        results = await asyncio.gather(*(in_time(asyncio.ensure_future(site.get(path))) for _, path in asked))
    finally:
        site.proxy.fault = faults.honest
    for (number, path), (status, body) in zip(asked, results, strict=True):
        if path == ids[number]:
            assert status in {0, *_FAILED} or (status, body) == (200, bodies[number]), (path, status)
        else:
            assert status in _FAILED, (path, status)
    assert results[0][0] in _FAILED or results[0] == (200, bodies[0]), "small originals are verified before the headers"
    for number, path in asked:
        status, body = await site.get(path)
        assert status == 200, (path, body)
        assert path != ids[number] or body == bodies[number]


@pytest.mark.parametrize(
    "fault", [*faults.SLOW, *faults.FAILING, *faults.LYING_ABOUT_STORING], ids=lambda fault: fault.__name__
)
async def test_uploads_fail_in_time_and_lose_nothing(site: Site, fault: Callable[..., object]) -> None:
    known = site.body()
    _, known_id = await site.upload(known)
    bodies = [site.body(SMALL), site.body(LARGE)]
    site.proxy.fault = fault
    try:
        results = await asyncio.gather(*(in_time(asyncio.ensure_future(site.upload(body))) for body in bodies))
    finally:
        site.proxy.fault = faults.honest
    # A store that stores, and is only unable to say so, may be believed when it is asked again.
    acknowledged = {
        str(image_id): body for (status, image_id), body in zip(results, bodies, strict=True) if status == 201
    }
    assert {status for status, _ in results} <= _FAILED | {201}
    assert not acknowledged or fault in {faults.breaking_off, faults.truncating, faults.trickling}
    for image_id, body in {known_id: known, **acknowledged}.items():
        assert await site.get(image_id) == (200, body)
    for body in bodies:
        status, image_id = await site.upload(body)
        assert status == 201, "what a failed upload left behind does no harm"
        assert await site.get(image_id) == (200, body)


async def test_a_store_that_is_slow_only_while_storing(site: Site) -> None:
    async def slow_to_store(link: faults.Link) -> None:
        await (faults.slow if link.request.head.startswith(b"PUT") else faults.honest)(link)

    body = site.body()
    site.proxy.fault = slow_to_store
    try:
        status, _ = await in_time(asyncio.ensure_future(site.upload(body)))
    finally:
        site.proxy.fault = faults.honest
    assert status == 504


async def test_after_all_that_no_row_is_without_its_blob(site: Site) -> None:
    report = await asyncio.to_thread(site.scrub)
    assert report["blobs"]
    assert (report["damaged"], report["complete"]) == (0, True), report


async def test_what_the_disk_cache_has_needs_no_store(site: Site) -> None:
    _, image_id = await site.upload(site.body())
    assert (await site.get(f"{image_id}?thumb=30"))[0] == 200
    site.proxy.fault = faults.silent
    try:
        assert (await site.get(f"{image_id}.webp?thumb=31"))[0] == 200
    finally:
        site.proxy.fault = faults.honest


async def test_an_original_is_fetched_once_for_many_variants(site: Site) -> None:
    body = site.body(LARGE)
    (image_id,) = await site.cold(body)
    site.proxy.requests.clear()
    results = await asyncio.gather(*(site.get(f"{image_id}?thumb={size}") for size in range(20, 60)))
    assert {status for status, _ in results} == {200}
    path = hashlib.sha256(body).hexdigest()
    assert len([line for line in site.proxy.requests if line.startswith("GET") and path in line]) == 1


async def test_a_deleted_original_leaves_the_disk_cache(site: Site) -> None:
    body = site.body()
    (image_id,) = await site.cold(body)
    assert (await site.get(f"{image_id}?thumb=30"))[0] == 200
    cached = site.sources / hashlib.sha256(body).hexdigest()
    assert cached.exists()
    async with site.http.delete(f"{site.url}/v1/images/{image_id}") as answer:
        assert answer.status == 204
    assert not cached.exists()
