"""scripts/rolling-update: nothing breaks while it replaces every part, and a bad build changes nothing."""

import asyncio
import hashlib
import io
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests import pictures
from tests.compose import stack
from tests.compose.stack import Stack
from tests.docs.pages import the_block
from tests.servers import ROOT

PAGE = "docs/production.md"
LONG = bool(os.environ.get("LONG"))
"""Transfers as slow as over a line of 8 Mbit/s."""
PARTS = ("storage", "transform", "jobs", "nginx", "varnish")
TRANSFER_SECONDS = 63 if LONG else 8
SIZE = 63 * 1024**2
_PIECE = 64 * 1024


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("sources") / "project"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".venv", ".git", "var", "__pycache__", ".*_cache"))
    return copy


@pytest.fixture(scope="module")
def site(sources: Path) -> Iterator[Stack]:
    with stack.up(sources, project="imgsvc-test-updates", spare_ports=1) as started:
        yield started


class Visitors:
    """Slow clients, which take a node that passes its health check, as a load balancer would."""

    def __init__(self, site: Stack, http: aiohttp.ClientSession, body: bytes) -> None:
        self.results: Counter[str] = Counter()
        self.stopping = False
        self._site = site
        self._http = http
        self._body = body

    async def node(self) -> str:
        """The URL of a node that takes requests."""
        while True:
            for port in self._site.environment["PUBLISH"].rpartition(":")[2].split("-"):
                url = f"http://127.0.0.1:{port}"
                try:
                    async with self._http.get(f"{url}/cache/healthcheck", timeout=aiohttp.ClientTimeout(1)) as answer:
                        if answer.status == 200:
                            return url
                except (aiohttp.ClientError, TimeoutError):
                    pass
            await asyncio.sleep(0.1)

    async def download(self, image_id: str) -> None:
        """Download an original again and again, slowly."""
        while not self.stopping:
            url = f"{await self.node()}/v1/images/{image_id}"
            digest = hashlib.sha256()
            began = time.monotonic()
            try:
                async with self._http.get(url, timeout=aiohttp.ClientTimeout(600)) as answer:
                    async for piece in answer.content.iter_chunked(_PIECE):
                        digest.update(piece)
                        await asyncio.sleep(TRANSFER_SECONDS / (SIZE / len(piece)))
                whole = digest.digest() == hashlib.sha256(self._body).digest()
                self.results["downloaded" if whole else f"wrong download: {answer.status}"] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                self.results[f"broken download after {time.monotonic() - began:.0f} s: {error!r}"] += 1

    async def upload(self) -> None:
        """Upload large images one after the other, slowly."""
        number = 0
        while not self.stopping:
            number += 1
            url, began = f"{await self.node()}/v1/images", time.monotonic()
            headers = {"Content-Type": "image/jpeg", "Content-Length": str(SIZE)}
            try:
                async with self._http.post(
                    url, data=self._slowly(number), headers=headers, timeout=aiohttp.ClientTimeout(600)
                ) as answer:
                    text = await answer.text()
                self.results["uploaded" if answer.status == 201 else f"refused upload: {answer.status} {text}"] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                self.results[f"broken upload after {time.monotonic() - began:.0f} s: {error!r}"] += 1

    async def _slowly(self, number: int) -> AsyncIterator[bytes]:
        view = memoryview(self._body[: SIZE - 4] + number.to_bytes(4))
        for start in range(0, SIZE, _PIECE):
            yield bytes(view[start : start + _PIECE])
            await asyncio.sleep(TRANSFER_SECONDS / (SIZE / _PIECE))


@pytest.mark.timeout(1800)
async def test_slow_transfers_survive_an_update_of_every_part(site: Stack, http: aiohttp.ClientSession) -> None:
    body = pictures.of_size(SIZE)
    visitors = Visitors(site, http, body)
    form = aiohttp.FormData()
    form.add_field("image", io.BytesIO(body), filename="x")
    async with http.post(f"{await visitors.node()}/v1/images", data=form) as answer:
        assert answer.status == 201, await answer.text()
        image_id = (await answer.json())["image_id"]
    before = {part: site.containers(part) for part in PARTS}
    tasks = [asyncio.create_task(visitors.download(image_id)) for _ in range(2)]
    tasks.append(asyncio.create_task(visitors.upload()))
    began = time.monotonic()
    try:
        printed = await asyncio.to_thread(site.follow, the_block(PAGE, "rolling-update storage transform jobs"))
    finally:
        visitors.stopping = True
        await asyncio.gather(*tasks)
    print(f"\n{time.monotonic() - began:.0f} s: {dict(visitors.results)}\n{printed}")
    for part, containers in before.items():
        assert not set(containers) & set(site.containers(part)), part
    assert set(visitors.results) == {"downloaded", "uploaded"}
    await _job_is_done(await visitors.node(), http)


async def _job_is_done(url: str, http: aiohttp.ClientSession) -> None:
    """Upload an image, and wait until a job has looked at it: the dispatcher has to find the new nodes."""
    headers = {"Content-Type": "image/jpeg"}
    async with http.post(f"{url}/v1/images", data=pictures.jpeg(), headers=headers) as answer:
        image_id = (await answer.json())["image_id"]
    async with asyncio.timeout(90):
        while True:
            async with http.get(f"{url}/v1/images/{image_id}/info") as answer:
                if (await answer.json())["thumbhash"]:
                    return
            await asyncio.sleep(0.2)


@pytest.mark.timeout(600)
async def test_a_backup_is_restored_over_the_site_and_passwords_change(
    site: Stack, sources: Path, http: aiohttp.ClientSession
) -> None:
    """As an operator does it. After the test above, no container has the number 1 any more."""
    visitors = Visitors(site, http, b"")
    before, after = (bytes(pictures.noise(30, 20 + number).pngsave_buffer()) for number in range(2))
    kept = await _upload(await visitors.node(), http, before)
    await asyncio.to_thread(site.follow, the_block(PAGE, "pg_dump"))
    secret = (sources / "access_secret").read_text()
    assert len(secret.strip()) == 64
    lost = await _upload(await visitors.node(), http, after)
    async with http.delete(f"{await visitors.node()}/v1/images/{kept}") as answer:
        assert answer.status == 204
    await asyncio.to_thread(site.follow, the_block(PAGE, "docker compose restart redis"))
    await asyncio.to_thread(site.follow, the_block(PAGE, "pg_restore"))
    await _answers(site, visitors)
    async with http.get(f"{await visitors.node()}/v1/images/{kept}") as answer:
        found = await answer.read()
        assert answer.status == 200, found
        assert found == before
    assert await status_of(http, f"{await visitors.node()}/v1/images/{lost}") == 404
    with pytest.raises(AssertionError, match="1 blob without a record"):
        await asyncio.to_thread(site.follow, the_block(PAGE, "imgsvc check\n"))
    assert "(0 rows)" in await asyncio.to_thread(site.follow, the_block(PAGE, "FROM purges"))
    await asyncio.to_thread(site.follow, the_block(PAGE, "ALTER USER"), {"…": "correct horse"})
    await _answers(site, visitors)
    site.run("restart", "postgres")  # so that storage has to connect again
    info = f"{await visitors.node()}/v1/images/{kept}/info"
    async with asyncio.timeout(60):
        while (status := await status_of(http, info)) == 503:
            await asyncio.sleep(0.1)
    assert status == 200
    assert "correct horse" in site.docker("exec", site.containers("storage")[0], "cat", "/run/keys/password")


async def _answers(site: Stack, visitors: Visitors) -> None:
    """Wait until the parts behind Varnish answer again."""
    site.url = await visitors.node()
    await asyncio.to_thread(site.wait)


async def _upload(url: str, http: aiohttp.ClientSession, image: bytes) -> str:
    async with http.post(f"{url}/v1/images", data=image, headers={"Content-Type": "image/png"}) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["image_id"])


@pytest.mark.timeout(600)
async def test_a_cache_that_leaves_serves_misses_and_uploads_until_its_last_request_has_finished(
    site: Stack, http: aiohttp.ClientSession
) -> None:
    """Also if nginx gets another address meanwhile."""
    body = pictures.of_size(SIZE)
    (container,) = site.containers("varnish")
    await asyncio.to_thread(site.wait_healthy, container)
    url = site.url_of(container)
    async with http.post(f"{url}/v1/images", data=io.BytesIO(body), headers={"Content-Type": "image/jpeg"}) as answer:
        assert answer.status == 201, await answer.text()
        image_id = (await answer.json())["image_id"]
    began = started_at(site, container)
    async with http.get(f"{url}/v1/images/{image_id}", timeout=aiohttp.ClientTimeout(600)) as answer:
        received = await answer.content.readexactly(1024**2)
        await asyncio.to_thread(site.docker, "kill", "-s", "TERM", container)
        while await status_of(http, f"{url}/cache/healthcheck") != 503:
            await asyncio.sleep(0.1)
        await asyncio.to_thread(move_nginx, site)
        for number in range(20):
            assert await status_of(http, f"{url}/v1/images/{image_id}.webp?thumb={number + 20}") == 200
            image = bytes(pictures.noise(30, 20 + number).pngsave_buffer())
            async with http.post(f"{url}/v1/images", data=image, headers={"Content-Type": "image/png"}) as upload:
                assert upload.status == 201, await upload.text()
        assert started_at(site, container) == began
        received += await answer.content.read()
    assert received == body
    async with asyncio.timeout(20):
        await asyncio.to_thread(site.docker, "wait", container)
    await asyncio.to_thread(site.docker, "start", container)
    await asyncio.to_thread(site.wait_healthy, container)


def started_at(site: Stack, container: str) -> str:
    """When a container was started."""
    return site.docker("inspect", "-f", "{{.State.StartedAt}}", container)


def move_nginx(site: Stack) -> None:
    """Replace nginx with a container that has another address."""
    (old,) = site.containers("nginx")
    site.scale_to("nginx", 2)
    for new in set(site.containers("nginx")) - {old}:
        site.wait_healthy(new)
    time.sleep(2)  # longer than anyone keeps an address
    site.docker("stop", old)
    site.docker("rm", old)


async def status_of(http: aiohttp.ClientSession, url: str) -> int:
    """The status of a response; 0 if there is none."""
    try:
        async with http.get(url, timeout=aiohttp.ClientTimeout(10)) as answer:
            await answer.read()
            return answer.status
    except (aiohttp.ClientError, TimeoutError):
        return 0


@pytest.mark.skipif(not LONG, reason="a minute for each part")
@pytest.mark.timeout(600)
async def test_after_a_bad_build_a_plain_up_keeps_the_site(
    site: Stack, sources: Path, http: aiohttp.ClientSession
) -> None:
    visitors = Visitors(site, http, b"")
    before = {part: site.containers(part) for part in ("storage", "transform", "nginx", "varnish")}
    for part, file, mistake in (
        ("storage", "storage_service/__main__.py", "raise RuntimeError('a bad build')"),
        ("nginx", "nginx/start.sh", "exit 1"),
        ("varnish", "varnish/start", "exit 1"),
    )[: 3 if LONG else 1]:
        whole = (sources / file).read_text()
        first, rest = whole.split("\n", 1)
        (sources / file).write_text(f"{mistake}\n{whole}" if first.startswith('"') else f"{first}\n{mistake}\n{rest}")
        done = await asyncio.to_thread(site.update, part)
        (sources / file).write_text(whole)
        assert done.returncode == 1, done.stdout
        assert f"the new {part} container did not become healthy" in done.stderr
    await asyncio.to_thread(site.run, "up", "-d")
    assert {part: site.containers(part) for part in before} == before
    # Even if it has to start them anew.
    await asyncio.to_thread(site.run, "up", "-d", "--force-recreate", "storage", "nginx", "varnish")
    image = bytes(pictures.noise(30, 20).pngsave_buffer())
    for container in site.containers("varnish"):
        await asyncio.to_thread(site.wait_healthy, container)
    async with asyncio.timeout(60):
        while True:
            headers = {"Content-Type": "image/png"}
            async with http.post(f"{await visitors.node()}/v1/images", data=image, headers=headers) as answer:
                if answer.status == 201:
                    return
            await asyncio.sleep(0.1)
