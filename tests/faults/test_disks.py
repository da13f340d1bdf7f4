"""Disks that are slow to sync, fail or are full: nothing is acknowledged that is not on the disk."""

import asyncio
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests import pictures, servers
from tests.faults.tracing import calls, strace

SMALL = bytes(pictures.noise(60, 40).jpegsave_buffer())
MIB = 1024**2
_DISK = "size=64m"


def numbered(number: int, start: bytes = SMALL) -> bytes:
    return start + number.to_bytes(4)


@dataclass
class Site:
    """A service with its data in a folder, and its processes."""

    url: str
    folder: Path
    served: servers.Served
    http: aiohttp.ClientSession
    settings: dict[str, str]

    async def upload(self, body: bytes) -> tuple[int, dict[str, str]]:
        form = aiohttp.FormData()
        form.add_field("image", io.BytesIO(body), filename="x")
        async with self.http.post(f"{self.url}/v1/images", data=form) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str) -> tuple[int, bytes]:
        async with self.http.get(f"{self.url}/v1/images/{path}") as answer:
            return answer.status, await answer.read()

    async def listed(self) -> set[str]:
        """The contents of all images."""
        async with self.http.get(f"{self.url}/v1/images?limit=500") as answer:
            return {image["sha256"] for image in (await answer.json())["images"]}

    async def scrub(self) -> dict[str, object]:
        command = [sys.executable, "-m", "imgsvc", "scrub", "--json", "--rate", "0"]
        environment = {**os.environ, "PYTHONPATH": str(servers.ROOT), **self.settings}
        done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, check=False)
        return dict(json.loads(done.stdout))

    def files(self) -> set[str]:
        """The blobs that are there."""
        return {path.name for path in (self.folder / "data/blobs/sha256").rglob("*") if path.is_file()}


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path, http: aiohttp.ClientSession) -> Iterator[Site]:
    settings = {"DATA_DIR": str(tmp_path / "data"), "RENDERERS": "1"}
    if request.param == "postgres":
        settings["DATABASE_URL"] = new_database(request.getfixturevalue("postgres_url"))
    with servers.serve(tmp_path, **settings) as served:
        yield Site(served.url, tmp_path, served, http, settings)


def new_database(server: str) -> str:
    """The URL of a new database on a PostgreSQL server."""
    name = f"faults_{uuid.uuid4().hex}"
    subprocess.run([servers.program("psql"), server, "-qc", f"CREATE DATABASE {name}"], check=True)
    return f"{server.rpartition('/')[0]}/{name}"


async def test_bytes_and_row_are_on_the_disk_before_the_client_gets_its_201(site: Site, tmp_path: Path) -> None:
    """fsync of the blob, rename, fsync of the folder, commit, 201, in this order, as strace shows."""
    await site.upload(numbered(0))
    trace, bodies = tmp_path / "trace", [numbered(number) for number in range(1, 6)]
    traced = "trace=fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg,recvfrom,read"
    with strace([site.served.process.pid], trace, "-e", traced):
        for body in [*bodies, bodies[0]]:
            assert (await site.upload(body))[0] == 201
    lines = calls(trace)
    answers = [number for number, line in enumerate(lines) if "HTTP/1.1 201" in line]
    assert len(answers) == 6
    for body, answered, before in zip(bodies, answers, [0, *answers], strict=False):
        during = "\n".join(lines[before:answered])
        sha256 = hashlib.sha256(body).hexdigest()
        folder = rf"{site.folder}/data/blobs/sha256/{sha256[:2]}/{sha256[2:4]}"
        commit = r"fdatasync\(\d+<\S*sqlite3-wal>\)" if "DATABASE_URL" not in site.settings else r'"Q\\0\\0\\0\\fCOMMIT'
        wanted = [
            r"fsync\(\d+<\S+/incoming/(\w+)>\)",
            rf'rename\w*\(.*"{folder}/{sha256}"',
            rf"fsync\(\d+<{folder}>\)",
            commit,
        ]
        order = [[match.start() for match in re.finditer(pattern, during)] for pattern in wanted]
        assert all(order), (order, during[-3000:])
        firsts = [found[0] for found in order]
        assert firsts == sorted(firsts), order
    during = "\n".join(lines[answers[4] : answers[5]])
    assert re.search(r"fsync\(\d+<\S+/sha256/", during), "the name of a blob that exists is synced again"


@pytest.mark.parametrize(
    ("site", "which"),
    [("sqlite", "blob"), ("sqlite", "folder"), ("sqlite", "database"), ("postgres", "folder")],
    indirect=["site"],
)
async def test_an_upload_whose_sync_fails_gets_503_and_leaves_no_row(site: Site, tmp_path: Path, which: str) -> None:
    kept = numbered(1000)
    assert (await site.upload(kept))[0] == 201
    bodies = [numbered(number) for number in range(3)]
    # Each thread counts its calls: the second one of an upload is that of the folder.
    when = {"blob": "", "folder": ":when=2+2", "database": ""}[which]
    call = "fdatasync" if which == "database" else "fsync"
    for body in bodies:  # make the folders, whose fsyncs would come first
        sha256 = hashlib.sha256(body).hexdigest()
        (site.folder / "data/blobs/sha256" / sha256[:2] / sha256[2:4]).mkdir(parents=True, exist_ok=True)
    with strace([site.served.process.pid], tmp_path / "trace", "-e", f"inject={call}:error=EIO{when}"):
        for body in bodies:
            status, answer = await site.upload(body)
            assert status == 503, answer
        assert await site.listed() == {hashlib.sha256(kept).hexdigest()}
    assert "(INJECTED)" in (tmp_path / "trace").read_text()
    assert await site.listed() == {hashlib.sha256(kept).hexdigest()}
    if which != "database":
        assert site.files() == {hashlib.sha256(kept).hexdigest()}, "a retry must not take a file for durable"
    assert "Traceback" not in site.served.log.read_text()
    for body in bodies:
        status, answer = await site.upload(body)
        assert status == 201
        assert await site.get(answer["image_id"]) == (200, body)
    assert (await site.scrub())["damaged"] == 0


async def test_postgres_that_cannot_sync_is_503_and_heals(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """PostgreSQL panics, and starts again by itself."""
    with servers.postgres(tmp_path) as url:
        settings = {"DATA_DIR": str(tmp_path / "data"), "RENDERERS": "1", "DATABASE_URL": url}
        with servers.serve(tmp_path, **settings) as served:
            site = Site(served.url, tmp_path, served, http, settings)
            kept = numbered(1000)
            assert (await site.upload(kept))[0] == 201
            postmaster = int(next(tmp_path.rglob("postmaster.pid")).read_text().split()[0])
            bodies = [numbered(number) for number in range(3)]
            children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
            pids = [postmaster, *map(int, children)]
            with strace(pids, tmp_path / "trace", "-e", "inject=fdatasync:error=EIO:when=1"):
                assert (await site.upload(bodies[0]))[0] == 503
            assert "(INJECTED)" in (tmp_path / "trace").read_text()
            async with asyncio.timeout(20):
                while (await site.upload(bodies[1]))[0] != 201:
                    await asyncio.sleep(0.1)
            assert hashlib.sha256(kept).hexdigest() in await site.listed()
            assert (await site.scrub())["damaged"] == 0


async def test_a_full_disk_refuses_uploads_and_nothing_else(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with servers.small_disk(tmp_path / "data", _DISK) as disk:
        settings = {"DATA_DIR": str(disk), "RENDERERS": "1"}
        with servers.serve(tmp_path, **settings) as served:
            site = Site(served.url, tmp_path, served, http, settings)
            stored: dict[str, bytes] = {}
            refused = 0
            while refused < 8:
                bodies = [numbered(len(stored) * 10 + n, pictures.of_size(3 * MIB)) for n in range(4)]
                for body, (status, answer) in zip(bodies, await asyncio.gather(*map(site.upload, bodies)), strict=True):
                    assert status in {201, 507}, answer
                    refused += status == 507
                    if status == 201:
                        stored[answer["image_id"]] = body
            (disk / "rest").write_bytes(b"")
            fill(disk / "rest")
            for number in range(3):
                assert (await site.upload(numbered(number)))[0] == 507
            for image_id, body in stored.items():
                assert await site.get(image_id) == (200, body)
                assert (await site.get(f"{image_id}?thumb=9"))[0] == 200
            report = await site.scrub()
            assert (report["blobs"], report["damaged"], report["orphans"]) == (len(stored), 0, 0)
            (disk / "rest").unlink()
            assert (await site.upload(numbered(7)))[0] == 201


async def test_a_full_disk_of_the_database_refuses_uploads_and_heals(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    with ExitStack() as stack:
        disk = stack.enter_context(servers.small_disk(tmp_path / "small", _DISK))
        url = stack.enter_context(servers.postgres(disk, "--wal-segsize=1", "--no-sync"))
        settings = {"DATA_DIR": str(tmp_path / "data"), "RENDERERS": "1", "DATABASE_URL": url}
        served = stack.enter_context(servers.serve(tmp_path, **settings))
        site = Site(served.url, tmp_path, served, http, settings)
        kept = [numbered(1000 + number) for number in range(5)]
        ids = [(await site.upload(body))[1]["image_id"] for body in kept]
        fill(disk / "rest")
        statuses = []
        for number in range(400):
            status, answer = await site.upload(numbered(number))
            statuses.append(status)
            assert status in {201, 503, 507}, answer
            if status == 201:
                kept.append(numbered(number))
                ids.append(answer["image_id"])
            elif statuses.count(507) + statuses.count(503) > 5:
                break
        assert set(statuses) & {503, 507}, "the disk was not full"
        (disk / "rest").unlink()
        async with asyncio.timeout(20):
            while (await site.upload(numbered(99_999)))[0] != 201:
                await asyncio.sleep(0.1)
        for image_id, body in zip(ids, kept, strict=True):
            assert await site.get(image_id) == (200, body)
        assert (await site.scrub())["damaged"] == 0


def fill(path: Path) -> None:
    """Fill the disk with one file, to the last block."""
    with path.open("wb", buffering=0) as file:
        for size in (MIB, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
