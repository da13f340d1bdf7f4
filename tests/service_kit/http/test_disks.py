"""The services report the room on their disks."""

import re
from pathlib import Path

import aiohttp
import pytest

from service_kit.http.server import Runner, listen
from storage_service.app import create_app as storage
from storage_service.settings import StorageSettings
from tests import servers
from tests.faults.test_disks import MIB
from transform_service.app import create_app as transform
from transform_service.settings import TransformSettings


async def gauges(runner: Runner, http: aiohttp.ClientSession) -> dict[tuple[str, str], float]:
    """The gauges of disks, by name and folder."""
    url = await listen(runner, "127.0.0.1", 0)
    async with http.get(f"{url}/metrics") as answer:
        text = await answer.text()
    found = re.findall(r'^imgsvc_disk_(\w+)\{of="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return {(name, of): float(value) for name, of, value in found}


async def test_storage_reports_the_disks_of_blobs_and_database(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with (
        servers.small_disk(tmp_path / "blobs", "size=16m,nr_inodes=5000") as blobs,
        servers.small_disk(tmp_path / "database", "size=64m") as database,
    ):
        (blobs / "file").write_bytes(bytes(4 * MIB))
        settings = StorageSettings(
            data_dir=tmp_path, blob_url=f"file://{blobs}", database_url=f"sqlite:///{database}/images.sqlite3"
        )
        runner = Runner(storage(settings))
        await runner.setup()
        found = await gauges(runner, http)
        await runner.cleanup()
    assert (found["bytes", "blobs"], found["free_bytes", "blobs"]) == (16 * MIB, 12 * MIB)
    assert found["inodes", "blobs"] == 5000
    assert 4900 < found["free_inodes", "blobs"] < 5000
    assert found["bytes", "database"] == 64 * MIB
    assert 50 * MIB < found["free_bytes", "database"] < 60 * MIB


@pytest.mark.parametrize("own", [False, True])
async def test_transform_reports_the_disks_of_spool_and_source_cache(
    tmp_path: Path, http: aiohttp.ClientSession, own: bool
) -> None:
    with (
        servers.small_disk(tmp_path / "spool", "size=16m") as spool,
        servers.small_disk(tmp_path / "sources", "size=32m") as sources,
    ):
        (spool / "sources").mkdir()
        settings = TransformSettings(spool_dir=spool, source_cache_dir=sources if own else None, renderers=1)
        runner = Runner(transform(settings))
        await runner.setup()
        found = await gauges(runner, http)
        await runner.cleanup()
    assert found["bytes", "spool"] == 16 * MIB
    assert found["bytes", "sources"] == (32 if own else 16) * MIB
