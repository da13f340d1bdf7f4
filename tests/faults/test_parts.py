"""Parts of the composed stack are killed, freeze or are gone for a while, under load."""

import asyncio
import hashlib
import io
import itertools
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests import pictures
from tests.compose import stack
from tests.compose.stack import Stack
from tests.faults.length import LONG

ROUNDS = 100 if LONG else 6
GONE_SECONDS = 30 if LONG else 3
BLOBS = 500 if LONG else 40
_UPLOADERS = 8
_PAUSE = 0.0 if LONG else 0.1
"""Seconds between two requests of a client. In CI, other tests run at the same time."""
_RECOVERY_SECONDS = 5 if LONG else 30
"""What the docs promise, and what a busy machine in CI needs."""
_PARTS = ("varnish", "nginx", "storage", "transform", "postgres", "redis")
_WAYS = ("killed", "frozen")
_CASES = [(part, way) for part in _PARTS for way in _WAYS]
if not LONG:  # each part in one way
    _CASES = [*_CASES[::4], *_CASES[3::4]]
PHOTO = bytes(pictures.noise(60, 40).jpegsave_buffer())


@pytest.fixture(scope="module")
def nodes() -> Iterator[Stack]:
    """Two caches, as behind a load balancer, and one node of everything else."""
    with stack.up(project="imgsvc-test-faults", scale={"varnish": 2}) as started:
        yield started


@dataclass
class Site:
    """What clients see: any of the caches, and the next one if that does not answer."""

    http: aiohttp.ClientSession
    places: list[str]

    async def get(self, path: str, patience: float = 40) -> tuple[int, bytes]:
        """Status and body; status 0 if no cache answers."""
        for place in list(self.places):
            with suppress(aiohttp.ClientError, TimeoutError):
                timeout = aiohttp.ClientTimeout(patience)
                async with self.http.get(f"{place}/v1/images/{path}", timeout=timeout) as answer:
                    return answer.status, await answer.read()
            if self.places[0] == place:
                self.places.append(self.places.pop(0))  # the balancer's health check fails
        return 0, b""

    def body(self) -> bytes:
        """An image that was never uploaded before: the tests share the stack."""
        return PHOTO + os.urandom(16)

    async def upload(self, body: bytes, patience: float = 40) -> str:
        """The ID, or an empty text if the upload was not acknowledged."""
        form = aiohttp.FormData()
        form.add_field("image", io.BytesIO(body), filename="x")
        place = self.places[0]
        try:
            timeout = aiohttp.ClientTimeout(patience)
            async with self.http.post(f"{place}/v1/images", data=form, timeout=timeout) as answer:
                facts = await answer.json(content_type=None)
                return str(facts["image_id"]) if answer.status == 201 else ""
        except (aiohttp.ClientError, TimeoutError, ValueError):
            if self.places[0] == place:
                self.places.append(self.places.pop(0))
            return ""

    async def works(self) -> None:
        """Wait until an upload and a new variant of it succeed."""
        while True:
            image_id = await self.upload(self.body(), 3)
            if image_id and (await self.get(f"{image_id}.webp?thumb=20", 3))[0] == 200:
                return
            await asyncio.sleep(0.05)


@pytest.fixture
async def site(nodes: Stack) -> AsyncIterator[Site]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        yield Site(http, nodes.urls())


def processes(nodes: Stack, service: str) -> list[int]:
    """The processes in the containers of a service, by their numbers on this machine."""
    found = []
    for container in nodes.containers(service):
        with suppress(AssertionError):  # it is just starting again
            lines = nodes.docker("top", container, "-eo", "pid").split()[1:]
            found += [int(line) for line in lines]
    return found


def kill_something(nodes: Stack, service: str, chance: random.Random) -> str:
    """Kill a container's first process, or any other one. Returns what it was."""
    pids = processes(nodes, service)
    pid = pids[0] if chance.random() < 0.5 else chance.choice(pids)
    with suppress(FileNotFoundError, ProcessLookupError):
        name = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[:60]
        os.kill(pid, signal.SIGKILL)
        return f"{service}: {name}"
    return f"{service}: a process that had ended"


@asynccontextmanager
async def uploading(site: Site, ledger: dict[str, bytes], number: int) -> AsyncIterator[None]:
    """Upload with so many clients, and note what was acknowledged."""
    ended = asyncio.Event()

    async def client() -> None:
        while not ended.is_set():
            body = site.body()
            image_id = await site.upload(body)
            if image_id:
                ledger[image_id] = body
            await asyncio.sleep(_PAUSE if image_id else 0.05)

    clients = [asyncio.create_task(client()) for _ in range(number)]
    try:
        yield
    finally:
        ended.set()
        await asyncio.gather(*clients)


async def check(site: Site, ledger: dict[str, bytes]) -> tuple[int, int]:
    """How many acknowledged images are lost, and how many are wrong."""
    answers = Counter[str]()

    async def ask(image_id: str, body: bytes) -> None:
        status, got = await site.get(image_id)
        answers["right" if (status, got) == (200, body) else "wrong" if status == 200 else "lost"] += 1

    entries = list(ledger.items())
    for start in range(0, len(entries), 50):
        await asyncio.gather(*(ask(*entry) for entry in entries[start : start + 50]))
    return answers["lost"], answers["wrong"]


def scrub(nodes: Stack) -> dict[str, object]:
    """The report of a scrub in the container of the storage service."""
    (container,) = nodes.containers("storage")
    command = ["exec", container, "python", "-m", "storage_service.scrub", "--json", "--rate", "0"]
    return dict(json.loads(nodes.docker(*command)))


@pytest.mark.timeout(3600)
async def test_nothing_acknowledged_is_lost_whatever_is_killed(nodes: Stack, site: Site) -> None:
    chance, ledger, recoveries, killed = random.Random(14), dict[str, bytes](), list[float](), Counter[str]()
    async with uploading(site, ledger, _UPLOADERS):
        for number in range(ROUNDS):
            before = len(ledger)
            while len(ledger) < before + 10:
                await asyncio.sleep(0.01)
            service = _PARTS[number % len(_PARTS)]
            what = await asyncio.to_thread(kill_something, nodes, service, chance)
            killed[service] += 1
            started = time.monotonic()
            async with asyncio.timeout(60):
                await site.works()
            recoveries.append(time.monotonic() - started)
            print(f"{number + 1}: {what}: {recoveries[-1]:.1f} s", flush=True)
    lost, wrong = await check(site, ledger)
    print(f"\n{len(ledger)} acknowledged in {ROUNDS} rounds ({dict(killed)}): {lost} lost, {wrong} wrong", end="; ")
    print(f"recovery took {max(recoveries):.1f} s at most, {sorted(recoveries)[len(recoveries) // 2]:.1f} s typically")
    assert (lost, wrong) == (0, 0)
    assert max(recoveries) < _RECOVERY_SECONDS
    report = await asyncio.to_thread(scrub, nodes)
    assert (report["damaged"], report["complete"]) == (0, True), report
    assert int(str(report["blobs"])) >= len({hashlib.sha256(body).digest() for body in ledger.values()})


CORRUPT = """
import pathlib, sys
for path in sys.argv[1:]:
    file = pathlib.Path(path)
    body = bytearray(file.read_bytes())
    body[-1] ^= 1
    file.write_bytes(body)
"""


@pytest.mark.timeout(600)
async def test_a_scrub_names_exactly_what_is_corrupt_and_no_cache_keeps_it(nodes: Stack, site: Site) -> None:
    bodies = [site.body() for _ in range(BLOBS)]
    ids = [await site.upload(body) for body in bodies]
    assert all(ids)
    corrupt = random.Random(3).sample(range(BLOBS), 3)
    shas = {hashlib.sha256(bodies[number]).hexdigest(): ids[number] for number in corrupt}
    variants = [f"{image_id}{variant}" for image_id in shas.values() for variant in ("", ".webp?thumb=20", "?thumb=9")]
    for place in site.places:
        for variant in variants:
            async with site.http.get(f"{place}/v1/images/{variant}") as answer:
                assert answer.status == 200
    paths = [f"/data/blobs/sha256/{sha[:2]}/{sha[2:4]}/{sha}" for sha in shas]
    (container,) = nodes.containers("storage")
    nodes.docker("exec", container, "python", "-c", CORRUPT, *paths)
    command = ["exec", container, "python", "-m", "storage_service.scrub", "--json"]
    with pytest.raises(AssertionError):  # exit code 1
        nodes.docker(*command)
    report = json.loads(nodes.docker("exec", container, "sh", "-c", "python -m storage_service.scrub --json || true"))
    assert {found["sha256"]: found["images"] for found in report["findings"]} == {
        sha: [image_id] for sha, image_id in shas.items()
    }
    deadline = time.monotonic() + 20  # the purger looks every ten seconds
    for place, variant in itertools.product(site.places, variants):
        while True:
            async with site.http.get(f"{place}/v1/images/{variant}") as answer:
                if answer.status == 502:
                    assert answer.headers["Cache-Control"] == "no-store"
                    break
                assert time.monotonic() < deadline, (variant, answer.status)
            await asyncio.sleep(0.1)
    for number in set(range(BLOBS)) - set(corrupt):
        assert await site.get(ids[number]) == (200, bodies[number])
    for number in corrupt:
        assert await site.upload(bodies[number])
        for variant in ("", ".webp?thumb=20"):
            assert (await site.get(f"{ids[number]}{variant}"))[0] == 200
    assert (await asyncio.to_thread(scrub, nodes))["damaged"] == 0


@dataclass
class Reader:
    """Reads cached responses, and counts those that are not what they were."""

    site: Site
    known: dict[str, bytes]
    total: int = 0
    failed: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def running(self, clients: int) -> AsyncIterator[None]:
        ended = asyncio.Event()

        async def read() -> None:
            for path in itertools.cycle(self.known):
                if ended.is_set():
                    return
                status, body = await self.site.get(path, 2)
                self.total += 1
                if (status, body) != (200, self.known[path]):
                    self.failed.append(f"{path}: {status}")
                await asyncio.sleep(0.005 + _PAUSE / 4)

        tasks = [asyncio.create_task(read()) for _ in range(clients)]
        try:
            yield
        finally:
            ended.set()
            await asyncio.gather(*tasks)


async def cached(site: Site) -> dict[str, bytes]:
    """Responses that every cache has."""
    found = {}
    for _ in range(4):
        image_id = await site.upload(site.body())
        for variant in ("", ".webp?thumb=20", "?thumb=30"):
            for place in list(site.places):
                async with site.http.get(f"{place}/v1/images/{image_id}{variant}") as answer:
                    assert answer.status == 200
                    found[image_id + variant] = await answer.read()
    return found


@pytest.mark.parametrize(("part", "how"), _CASES)
async def test_cached_reads_continue_while_a_part_is_gone_and_it_recovers_by_itself(
    nodes: Stack, site: Site, part: str, how: str
) -> None:
    async with asyncio.timeout(60):
        await site.works()
    reader, ledger = Reader(site, await cached(site)), dict[str, bytes]()
    container, caches = nodes.containers(part)[0], nodes.containers("varnish")
    slow = Counter[str]()

    async def ask_what_is_not_cached() -> None:
        """Every answer is an answer: soon, and never a 500."""
        image_id = next(iter(reader.known)).partition(".")[0].partition("?")[0]
        for number in itertools.count():
            started = time.monotonic()
            status, _ = await site.get(f"{image_id}.png?blur={number % 2000 / 100 + 1:.2f}&thumb=21")
            slow[f"{status} after {'over 35' if time.monotonic() - started > 35 else 'under 35'} s"] += 1
            await asyncio.sleep(0.05)

    async with uploading(site, ledger, 2), reader.running(4):
        asking = asyncio.create_task(ask_what_is_not_cached())
        if how == "killed":
            await asyncio.to_thread(nodes.docker, "kill", container)
        else:
            await asyncio.to_thread(nodes.pause, container)
        await asyncio.sleep(GONE_SECONDS)
        await asyncio.to_thread(nodes.docker, "start" if how == "killed" else "unpause", container)
        started = time.monotonic()
        if part == "varnish":  # it has another port now
            site.places[:] = await asyncio.to_thread(lambda: [nodes.url_of(each) for each in caches])
        async with asyncio.timeout(60):
            await site.works()
        recovery = time.monotonic() - started
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    share = 1 - len(reader.failed) / reader.total
    print(
        f"\n{part} {how} for {GONE_SECONDS} s: {share:.2%} of {reader.total} cached reads, recovery in {recovery:.1f} s"
    )
    print(f"  not cached: {dict(slow)}; {len(ledger)} uploads")
    assert share >= 0.999, reader.failed[:5]
    assert recovery < _RECOVERY_SECONDS
    assert not [answer for answer in slow if answer.startswith("500") or "over" in answer], slow
    assert await check(site, ledger) == (0, 0)
