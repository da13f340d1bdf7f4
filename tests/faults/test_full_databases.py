"""The disk of the database is full: images can be deleted, and what is stored stays."""

import asyncio
import io
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests import pictures, servers
from tests.faults.test_databases import Site, run_sql
from tests.faults.test_disks import MIB, fill, numbered

_DISK = "size=64m"


@contextmanager
def on_a_small_disk(tmp_path: Path, http: aiohttp.ClientSession, **settings: str) -> Iterator[tuple[Path, Site]]:
    """A service whose SQLite file is on a disk of 64 MB."""
    with servers.small_disk(tmp_path / "small", _DISK) as disk:
        places = {"DATABASE_URL": f"sqlite:///{disk}/images.sqlite3", "BLOB_URL": f"file://{tmp_path}/blobs"}
        with servers.serve(tmp_path, **{**places, **settings}, RENDERERS="1") as served:
            yield disk, Site(http, served)


async def test_sqlite_on_a_full_disk_deletes_hundreds_of_images(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """Nothing is freed meanwhile, since the blobs are elsewhere."""
    with on_a_small_disk(tmp_path, http) as (disk, site):
        ids = [await site.upload(numbered(number)) for number in range(400)]
        fill(disk / "rest")
        assert (await site.ask("POST", body=numbered(5000)))[0] == 507
        for image_id in ids[:-1]:
            status, text = await site.ask("DELETE", f"/{image_id}")
            assert status == 204, text
            assert (await site.ask("GET", f"/{image_id}"))[0] == 410
        assert (await site.ask("POST", body=numbered(5001)))[0] == 507, "what is left is for deletions"
        assert (await site.ask("GET", f"/{ids[-1]}"))[0] == 200
        assert site.served.log.read_text().count("using the room that is reserved for deletions") >= 1
        (disk / "rest").unlink()
        assert (await site.ask("POST", body=numbered(5002)))[0] == 201
        fill(disk / "rest")
        assert (await site.ask("DELETE", f"/{ids[-1]}"))[0] == 204, "the room is reserved again"


async def test_sqlite_deletes_while_clients_upload_to_the_full_disk(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    place = tmp_path / "small"
    with on_a_small_disk(tmp_path, http, BLOB_URL=f"file://{place}/blobs") as (disk, site):
        ids = [await site.upload(numbered(number)) for number in range(200)]
        fill(disk / "rest")
        counted: Counter[int] = Counter()
        done = False

        async def keep_uploading(client: int) -> None:
            number = 0
            while not done:
                number += 1
                body = numbered(client * 10_000 + number, pictures.of_size(MIB // 2))
                form = aiohttp.FormData()
                form.add_field("image", io.BytesIO(body), filename="x")
                async with http.post(f"{site.served.url}/v1/images", data=form) as answer:
                    counted[answer.status] += 1

        uploading = [asyncio.create_task(keep_uploading(client)) for client in range(6)]
        for image_id in ids:
            status, text = await site.ask("DELETE", f"/{image_id}")
            assert status == 204, text
        done = True
        await asyncio.gather(*uploading)
        assert set(counted) <= {201, 507}, counted
        assert counted[507]


async def test_a_service_starts_and_deletes_on_a_full_disk(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with servers.small_disk(tmp_path / "data", _DISK) as disk:
        with servers.serve(tmp_path, RENDERERS="1") as served:
            site = Site(http, served)
            ids = [await site.upload(numbered(number)) for number in range(20)]
        fill(disk / "rest")
        with servers.serve(tmp_path, RENDERERS="1") as served:
            site = Site(http, served)
            for image_id in ids:
                assert (await site.ask("GET", f"/{image_id}"))[0] == 200
                status, text = await site.ask("DELETE", f"/{image_id}")
                assert status == 204, text
            (disk / "rest").unlink()
            assert (await site.ask("POST", body=numbered(5000)))[0] == 201


@pytest.mark.parametrize("log", ["elsewhere", "here"])
async def test_postgresql_on_a_full_disk_deletes(tmp_path: Path, http: aiohttp.ClientSession, log: str) -> None:
    """If the disk of its log is full, too, PostgreSQL panics, starts again and has the room that was reserved."""
    with ExitStack() as stack:
        disk = stack.enter_context(servers.small_disk(tmp_path / "small", _DISK))
        options = ["--wal-segsize=1", "--no-sync"]
        if log == "elsewhere":
            elsewhere = tmp_path / "log"
            elsewhere.mkdir(mode=0o777)
            elsewhere.chmod(0o777)
            options.append(f"--waldir={elsewhere}/wal")
        url = stack.enter_context(servers.postgres(disk, *options))
        run_sql(url, "ALTER SYSTEM SET max_wal_size = '5MB'", "SELECT pg_reload_conf()")
        site = Site(http, stack.enter_context(servers.serve(tmp_path, DATABASE_URL=url, RENDERERS="1")))
        ids = [await site.upload(numbered(number)) for number in range(300)]
        fill(disk / "rest")
        if log == "here":
            panic(url)
            assert "PANIC" in (disk / "postgres.log").read_text(errors="replace")
        answers: Counter[int] = Counter()
        try:
            async with asyncio.timeout(180):
                for image_id in ids[:-1]:
                    status = 0
                    while status != 204:
                        status, text = await site.ask("DELETE", f"/{image_id}")
                        answers[status] += 1
                        assert status == 204 or (status == 503 and log == "here"), text
                    assert (await site.ask("GET", f"/{image_id}"))[0] in {410, 503}
        except TimeoutError:
            print((disk / "postgres.log").read_text(errors="replace")[-5000:])
            print(site.served.log.read_text()[-5000:])
            pytest.fail(f"not everything is deleted: {dict(answers)}")
        print(f"\n{log}: {dict(answers)}")
        assert (await site.ask("POST", body=numbered(5001)))[0] == 507, "what is left is for deletions"
        assert (await site.ask("GET", f"/{ids[-1]}"))[0] == 200
        (disk / "rest").unlink()
        async with asyncio.timeout(20):
            while (await site.ask("POST", body=numbered(5002)))[0] != 201:
                await asyncio.sleep(0.1)
        assert "Traceback" not in site.served.log.read_text()


def panic(url: str) -> None:
    """Write to the log until there is no room for it."""
    command = [servers.program("psql"), url, "-Atqc", "SELECT pg_logical_emit_message(false, '', repeat('x', 1000000))"]
    for _ in range(100):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return


async def test_a_locked_sqlite_file_is_named(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with servers.serve(tmp_path, RENDERERS="1") as served:
        site = Site(http, served)
        image_id = await site.upload(numbered(1))
        command = [sys.executable, "-c", _LOCK, str(tmp_path / "data/images.sqlite3")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout
            await asyncio.to_thread(holder.stdout.readline)
            status, said = await site.ask("DELETE", f"/{image_id}")
            holder.communicate(b"\n")
        assert (status, "is locked by another program; retry later" in said) == (503, True), said
        assert (await site.ask("DELETE", f"/{image_id}"))[0] == 204


async def test_a_sqlite_file_that_cannot_be_written_is_named(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with servers.serve(tmp_path, RENDERERS="1") as served:
        image_id = await Site(http, served).upload(numbered(1))
    (tmp_path / "data/images.sqlite3").chmod(0o444)
    bounded = (servers.program("setpriv"), "--bounding-set", "-dac_override")  # root would be allowed to
    with servers.serve(tmp_path, bounded, RENDERERS="1") as served:
        site = Site(http, served)
        assert (await site.ask("GET", f"/{image_id}"))[0] == 200
        status, said = await site.ask("DELETE", f"/{image_id}")
        assert (status, "only reads; check the owner of its file" in said) == (503, True), said


_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
"""
