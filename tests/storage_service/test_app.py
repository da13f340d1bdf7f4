"""The background work of the storage service: sweeping."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from service_kit.spool import Spool
from storage_service.app import database_config, sweep_for_ever
from storage_service.settings import StorageSettings
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


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("postgresql://imgsvc@postgres/imgsvc", "from the file"),
        ("postgresql://imgsvc:mine@db.example/imgsvc", None),
        ("postgresql://imgsvc@db.example/imgsvc?password=mine", None),
    ],
)
def test_the_password_file_is_used_only_if_the_url_has_no_password(
    tmp_path: Path, url: str, password: str | None
) -> None:
    """Compose always sets the file, with the password of its own database."""
    file = tmp_path / "password"
    file.write_text("from the file\n")
    settings = StorageSettings(database_url=url, database_password_file=file)
    assert database_config(settings).password == password
    file.unlink()
    if password is None:
        assert database_config(settings).password is None


async def _until(condition: object) -> None:
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)
