"""The background work of the storage service: sweeping."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from service_kit.spool import Spool
from storage_service.app import sweep_for_ever
from tests.storage_service.conftest import Storage


async def test_the_sweeper_survives_a_missing_folder(
    storage: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path / "gone")
    caplog.set_level("INFO")
    sweeper = asyncio.create_task(sweep_for_ever(storage.library, spool, 0.01))
    try:
        await _until(lambda: "the sweep failed" in caplog.text)
        spool.prepare()
        await _until(lambda: "the sweep removed" in caplog.text)
    finally:
        sweeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeper


async def _until(condition: object) -> None:
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)
