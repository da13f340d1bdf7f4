"""The disk of the database is full: images can be deleted, and what is stored stays."""

import asyncio
import io
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from tests import pictures, servers
from tests.faults.test_databases import Site
from tests.faults.test_disks import MIB, fill, numbered

_DISK = "size=64m"


@contextmanager
def on_a_small_disk(tmp_path: Path, http: aiohttp.ClientSession, **settings: str) -> Iterator[tuple[Path, Site]]:
    """A service whose SQLite file is on a disk of 64 MB."""
    with servers.small_disk(tmp_path / "small", _DISK) as disk:
        places = {"DATABASE_URL": f"sqlite:///{disk}/images.sqlite3", "BLOB_URL": f"file://{tmp_path}/blobs"}
        with servers.serve(tmp_path, **{**places, **settings}, RENDERERS="1") as served:
            yield disk, Site(http, served)


async def test_sqlite_on_a_full_disk_deletes_a_thousand_images(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """Nothing is freed meanwhile, since the blobs are elsewhere."""
    with on_a_small_disk(tmp_path, http) as (disk, site):
        ids = [await site.upload(numbered(number)) for number in range(1000)]
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
