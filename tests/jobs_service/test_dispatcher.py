"""The dispatcher between real services: what it does with each answer, and that kill -9 loses nothing."""

import asyncio
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from jobs_service import dispatcher
from jobs_service.app import running
from jobs_service.dispatcher import Dispatcher
from jobs_service.metrics import PAUSED
from service_kit.errors import (
    BadGateway,
    Gone,
    InsufficientStorage,
    NotFound,
    ServiceError,
    Unavailable,
    UnprocessableImage,
)
from service_kit.jobs import DERIVE, Job, Outcome, Settlement
from storage_service.jobs import Jobs, job_for_upload
from storage_service.metadata.base import DatabaseConfig, MetadataStore, create_store
from tests import pictures, servers
from tests.servers import ROOT
from tests.storage_service.test_metadata import record

KILLS = 50 if os.environ.get("LONG") else 5
IMAGES = 60 if os.environ.get("LONG") else 10


@dataclass
class Runner:
    """Raises an error, or counts."""

    error: Exception | None = None
    done: list[str] = field(default_factory=list)
    going: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, job: Job) -> None:
        await self.going.wait()
        self.done.append(job.image_id)
        if self.error:
            raise self.error


class Watched(Jobs):
    """The queue in SQLite, and how its jobs ended."""

    def __init__(self, metadata: MetadataStore) -> None:
        super().__init__(metadata)
        self.settled: asyncio.Queue[Settlement] = asyncio.Queue()

    async def settle(self, settlement: Settlement) -> None:
        await super().settle(settlement)
        self.settled.put_nowait(settlement)


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Watched]:
    store = create_store(DatabaseConfig(f"sqlite:///{tmp_path}/images.sqlite3", None, 5))
    await store.open()
    for number in range(2):
        image = record(number)
        async with store.lock_content(image.sha256) as content:
            await content.add(image, None, [job_for_upload(image.sha256, image.created_at)])
    yield Watched(store)
    await store.close()


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (None, Outcome.DONE, ""),
        (NotFound("the path does not exist"), Outcome.RETRY, "the path does not exist"),
        (Gone("it was deleted"), Outcome.LATER, "it was deleted"),
        (UnprocessableImage("it is corrupt"), Outcome.FAILED, "it is corrupt"),
        (InsufficientStorage("the disk is full"), Outcome.LATER, "the disk is full"),
        (Unavailable("all cores are busy"), Outcome.LATER, "all cores are busy"),
        (BadGateway("nonsense"), Outcome.RETRY, "nonsense"),
        (ZeroDivisionError(), Outcome.RETRY, "a bug: ZeroDivisionError"),
    ],
)
async def test_each_answer_has_its_outcome(
    queue: Watched, error: ServiceError | None, outcome: Outcome, reason: str
) -> None:
    runner = Runner(error)
    runner.going.set()
    async with running(Dispatcher(queue, runner, at_once=1)):
        settlement = await queue.settled.get()
    assert (settlement.outcome, settlement.reason) == (outcome, reason)


async def test_a_full_disk_stops_all_jobs_for_a_while(queue: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "_PAUSE", 0)
    monkeypatch.setattr(dispatcher, "_POLL", 0.001)
    runner = Runner(InsufficientStorage("the disk is full"))
    runner.going.set()
    async with running(Dispatcher(queue, runner, at_once=2)):
        await queue.settled.get()
        await queue.settled.get()
        before = PAUSED._value.get()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.2):  # both jobs are due again after a second
                await queue.settled.get()
        assert (before, PAUSED._value.get()) == (1, 1)
    assert len(runner.done) == 2


async def test_a_dispatcher_that_stops_gives_its_jobs_back(queue: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    claims: asyncio.Queue[Job | None] = asyncio.Queue()
    claim = queue.claim

    async def watched() -> Job | None:
        job = await claim()
        claims.put_nowait(job)
        return job

    monkeypatch.setattr(queue, "claim", watched)
    async with running(Dispatcher(queue, Runner(), at_once=2)):
        assert all([await claims.get(), await claims.get()])
    outcomes = [queue.settled.get_nowait().outcome for _ in range(queue.settled.qsize())]
    assert outcomes == [Outcome.LATER, Outcome.LATER]


async def test_a_bug_in_the_queue_does_not_end_the_dispatcher(queue: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "_PAUSE", 0)
    failures = iter([RuntimeError("a bug"), RuntimeError("a bug")])
    claim = queue.claim

    async def buggy() -> Job | None:
        for error in failures:
            raise error
        return await claim()

    monkeypatch.setattr(queue, "claim", buggy)
    runner = Runner()
    runner.going.set()
    async with running(Dispatcher(queue, runner, at_once=1)):
        assert (await queue.settled.get()).outcome is Outcome.DONE


async def test_a_database_that_fails_delays_jobs_only(queue: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "_PAUSE", 0.01)
    failures = iter([Unavailable("down"), Unavailable("down")])
    claim = queue.claim

    async def flaky() -> Job | None:
        for error in failures:
            raise error
        return await claim()

    monkeypatch.setattr(queue, "claim", flaky)
    runner = Runner()
    runner.going.set()
    async with running(Dispatcher(queue, runner, at_once=1)):
        assert (await queue.settled.get()).outcome is Outcome.DONE


@contextmanager
def _service(name: str, folder: Path, port: int, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "DATA_DIR": str(folder), "SPOOL_DIR": str(folder / "spool"), "AUTH": "open"}
    environment |= {"PYTHONPATH": str(ROOT), f"{name.partition('_')[0].upper()}_PORT": str(port), **settings}
    log = folder / f"{name}.log"
    command = [sys.executable, "-m", name]
    with servers.running(command, log, cwd=folder, env=environment) as process:
        servers.await_port(port, process, log)
        yield process


@asynccontextmanager
async def _services(folder: Path) -> AsyncIterator[tuple[str, str]]:
    ports = [servers.free_port() for _ in range(2)]
    storage, transform = (f"http://127.0.0.1:{port}" for port in ports)
    with ExitStack() as stack:
        stack.enter_context(_service("storage_service", folder, ports[0]))
        stack.enter_context(_service("transform_service", folder, ports[1], STORAGE_URL=storage, RENDERERS="1"))
        yield storage, transform


async def _backlog(folder: Path, *arguments: str) -> dict[str, object]:
    command = [sys.executable, "-m", "storage_service.backlog", "status", "--json", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={"DATA_DIR": str(folder), "PATH": ""}, stdout=subprocess.PIPE
    )
    text, _ = await process.communicate()
    found: dict[str, object] = json.loads(text)
    return found


def _waiting(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "images.sqlite3")) as database:
        ((number,),) = database.execute("SELECT count(*) FROM jobs WHERE failed_at IS NULL")
    return int(number)


def _variants(folder: Path) -> int:
    return sum(path.is_file() for path in (folder / "blobs/variants").rglob("*"))


async def _precompute(folder: Path, *chains: str) -> None:
    for chain in chains:
        command = [sys.executable, "-m", "imgsvc", "precompute", "add", chain]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env={"DATA_DIR": str(folder), "PATH": ""})
        assert await process.wait() == 0


def _levels(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "blobs/levels/480").rglob("*") if path.is_file())


async def test_a_dispatcher_that_is_killed_loses_and_repeats_nothing(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with _services(tmp_path) as (storage, transform):
        await _precompute(tmp_path, "webp?thumb=100", "jpg?thumb=50")
        for number in range(IMAGES):
            body = pictures.gradient(2000, 1500 + number).jpegsave_buffer()
            async with http.post(f"{storage}/v1/images", data=body, headers={"Content-Type": "image/jpeg"}) as response:
                assert response.status == 201
        settings = {"STORAGE_URL": storage, "TRANSFORM_URL": transform}
        for number in range(KILLS):
            with _service("jobs_service", tmp_path, servers.free_port(), **settings) as process:
                before = len(_levels(tmp_path))
                deadline = time.monotonic() + 2
                while len(_levels(tmp_path)) == before < IMAGES and time.monotonic() < deadline:
                    await asyncio.sleep(0.005 * (number % 3))  # at another moment of a job each time
                process.send_signal(signal.SIGKILL)
        with _service("jobs_service", tmp_path, servers.free_port(), **settings):
            deadline = time.monotonic() + 250
            while _waiting(tmp_path):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        assert (len(_levels(tmp_path)), _variants(tmp_path)) == (IMAGES, 2 * IMAGES)
        async with http.get(f"{transform}/metrics") as response:
            text = await response.text()
        made = re.search(r'^imgsvc_levels_total\{outcome="made"\} (\S+)', text, re.MULTILINE)
        stored = re.search(r'^imgsvc_variants_total\{outcome="stored"\} (\S+)', text, re.MULTILINE)
        assert made
        assert stored
        assert (float(made[1]), float(stored[1])) == (2 * IMAGES, 2 * IMAGES), "none was made twice"
        assert await _backlog(tmp_path) == {"waiting": 0, "failed": 0, "failures": []}


async def test_a_level_is_there_before_anybody_asks(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    with servers.serve(tmp_path) as served:
        body = pictures.jpeg(2000, 1500)
        async with http.post(f"{served.url}/v1/images", data=body, headers={"Content-Type": "image/jpeg"}) as response:
            assert response.status == 201
        deadline = time.monotonic() + 30
        while not _levels(tmp_path / "data"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        assert DERIVE == "derive"
