"""Sweeps outlast restarts, and a failed one is repeated."""

import asyncio
import contextlib
import functools
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest

from service_kit.spool import Spool
from storage_service.metadata.base import DatabaseConfig, MetadataStore, create_store
from storage_service.sweeping import Sweeper
from tests import servers
from tests.faults.test_disks import new_database
from tests.storage_service.conftest import Storage

_INTERVAL = 12
"""Seconds. No service runs that long."""


@pytest.fixture
async def metadata(tmp_path: Path) -> AsyncIterator[MetadataStore]:
    store = create_store(DatabaseConfig(f"sqlite:///{tmp_path}/of_sweeps.sqlite3", None, 1))
    await store.open()
    yield store
    await store.close()


async def test_a_sweep_that_failed_is_repeated(
    storage: Storage, metadata: MetadataStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path / "gone")
    caplog.set_level("INFO")
    sweeper = asyncio.create_task(Sweeper(metadata, storage.library, spool, 0.05).run())
    try:
        await _until(lambda: "the sweep failed" in caplog.text)
        spool.prepare()
        await _until(lambda: "the sweep removed" in caplog.text)
    finally:
        sweeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeper


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_services_that_never_run_for_a_whole_interval_sweep_once_in_it(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    """As with a restart every day, and an interval of a day. Of two nodes, one sweeps."""
    several = database == "postgres"
    settings = {"SWEEP_SECONDS": str(_INTERVAL), "RENDERERS": "1", "BLOB_URL": f"file://{tmp_path}/blobs"}
    if several:
        settings["DATABASE_URL"] = new_database(request.getfixturevalue("postgres_url"))
    orphan = tmp_path / "blobs/sha256/ab/cd" / ("abcd" + "0" * 60)
    orphan.parent.mkdir(parents=True)
    swept: list[float] = []
    while len(swept) < 3:
        orphan.write_bytes(b"left behind")
        os.utime(orphan, (1, 1))
        with ExitStack() as nodes:
            logs = [
                nodes.enter_context(servers.serve(tmp_path / f"node{number}", **settings)).log
                for number in range(1 + several)
            ]
            with contextlib.suppress(TimeoutError):
                await _until(lambda: not orphan.exists(), _INTERVAL / 4)
            if not orphan.exists():  # a node that stops now would not finish its sweep
                await _until(functools.partial(_sweeps, logs))
        sweeps = _sweeps(logs)
        assert sweeps == (not orphan.exists()), "one of the nodes at most"
        if sweeps:
            swept.append(time.monotonic())
    pauses = [later - before for before, later in itertools.pairwise(swept)]
    assert min(pauses) > _INTERVAL - 4, pauses


def _sweeps(logs: Iterable[Path]) -> int:
    """How many sweeps have removed the blob, and ended."""
    return "".join(log.read_text() for log in logs).count("the sweep removed 1 blobs")


async def _until(condition: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
