"""`imgsvc scrub`, next to a service that uses the same database and blobs."""

import asyncio
import hashlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import obstore
import pytest

from storage_service.blobs import Blobs
from tests import pictures, servers

MIB = 1024**2
PHOTO = bytes(pictures.noise(60, 40).jpegsave_buffer())
_RUN = [sys.executable, "-m", "imgsvc", "scrub"]


def numbered(number: int) -> bytes:
    """A JPEG of its own: decoders ignore what follows its end."""
    return PHOTO + number.to_bytes(4)


@dataclass
class Site:
    """A running service, and how to reach what it stores."""

    url: str
    environment: dict[str, str]
    blobs: Blobs
    http: aiohttp.ClientSession
    process: subprocess.Popen[bytes]

    async def upload(self, body: bytes) -> str:
        form = aiohttp.FormData()
        form.add_field("image", io.BytesIO(body), filename="x")
        async with self.http.post(f"{self.url}/v1/images", data=form) as response:
            assert response.status == 201, await response.text()
            return str((await response.json())["image_id"])

    async def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
        """Status, Cache-Control and body."""
        async with self.http.request(method, f"{self.url}/v1/images/{path}", headers=headers) as response:
            return response.status, response.headers.get("Cache-Control", ""), await response.read()

    def scrub(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*_RUN, *options], env=self.environment, cwd=servers.ROOT, capture_output=True, text=True, check=False
        )

    def report(self, *options: str) -> tuple[int, dict[str, object]]:
        done = self.scrub("--json", *options)
        assert done.returncode in {0, 1}, done.stderr
        return done.returncode, json.loads(done.stdout)

    async def replace(self, body: bytes, other: bytes | None) -> None:
        """Give the blob of `body` other bytes, or remove it."""
        key = self.blobs.key(hashlib.sha256(body).hexdigest())
        if other is None:
            await obstore.delete_async(self.blobs._store, key)
        else:
            await obstore.put_async(self.blobs._store, key, other)


def flipped(body: bytes, place: int = -1) -> bytes:
    changed = bytearray(body)
    changed[place] ^= 1
    return bytes(changed)


@pytest.fixture(params=["sqlite, files", "postgres, s3"])
def site(
    request: pytest.FixtureRequest, tmp_path: Path, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    settings = {"DATA_DIR": str(tmp_path / "data"), "BLOB_URL": f"file://{tmp_path}/blobs"}
    if request.param != "sqlite, files":
        settings |= request.getfixturevalue("s3_settings") | {"BLOB_URL": f"s3://bucket/{uuid.uuid4().hex}"}
        postgres = request.getfixturevalue("postgres_url")
        name = f"scrub_{uuid.uuid4().hex}"
        psql = [servers.program("psql"), postgres, "-qc", f"CREATE DATABASE {name}"]
        subprocess.run(psql, check=True)
        settings["DATABASE_URL"] = postgres.rpartition("/")[0] + f"/{name}"
        for key, value in settings.items():
            monkeypatch.setenv(key, value)
    with servers.serve(tmp_path, **settings) as served:
        environment = {**os.environ, "PYTHONPATH": str(servers.ROOT), **settings}
        yield Site(served.url, environment, Blobs(settings["BLOB_URL"]), http, served.process)


LOCAL = pytest.mark.parametrize("site", ["sqlite, files"], indirect=True)


async def test_exactly_the_corrupted_blobs_are_named_and_answer_502(site: Site) -> None:
    bodies = [numbered(number) for number in range(60)]
    ids = [await site.upload(body) for body in bodies]
    twin = await site.upload(bodies[7])
    assert site.report()[0] == 0
    corrupt = {7: flipped(bodies[7]), 31: flipped(bodies[31], 40), 59: bytes(len(PHOTO) + 4)}
    for number, other in corrupt.items():
        await site.replace(bodies[number], other)
    code, report = site.report()
    assert code == 1
    found = {each["sha256"]: each for each in report["findings"]}  # type: ignore[attr-defined]
    assert set(found) == {hashlib.sha256(bodies[number]).hexdigest() for number in corrupt}
    assert {each["damage"] for each in found.values()} == {"corrupt"}
    assert sorted(found[hashlib.sha256(bodies[7]).hexdigest()]["images"]) == sorted([ids[7], twin])
    assert (report["blobs"], report["damaged"], report["complete"]) == (60, 3, True)
    for image_id in (*(ids[number] for number in corrupt), twin):
        for path in ("", ".jpg", "?thumb=9", ".png?rotate=90"):
            status, caching, _ = await site.get(f"{image_id}{path}")
            assert (status, caching) == (502, "no-store"), path
        assert (await site.get(image_id, "HEAD"))[0] == 502
        assert (await site.get(image_id, **{"If-None-Match": "*"}))[0] == 502, "the client may have the wrong bytes"
        assert (await site.get(image_id, Range="bytes=0-3"))[0] == 502
        assert (await site.get(f"{image_id}/info"))[0] == 200
    for number in set(range(60)) - set(corrupt):
        assert (await site.get(ids[number]))[2] == bodies[number]
    assert (await site.get(f"{ids[0]}.png?watermark={twin}"))[0] == 502
    assert (await site.get(f"{ids[0]}.png?rotate=90"))[0] == 200


async def test_a_damaged_image_is_whole_again_after_the_same_upload_or_a_restored_blob(site: Site) -> None:
    bodies = [numbered(number) for number in range(3)]
    ids = [await site.upload(body) for body in bodies]
    for body in bodies[:2]:
        await site.replace(body, flipped(body))
    assert site.report()[0] == 1
    await site.upload(bodies[0])
    assert (await site.get(ids[0]))[2] == bodies[0], "the upload replaced the blob"
    await site.replace(bodies[1], bodies[1])
    assert (await site.get(ids[1]))[0] == 502
    code, report = site.report()
    assert (code, report["repaired"], report["damaged"]) == (0, 1, 0)
    for image_id, body in zip(ids, bodies, strict=True):
        assert (await site.get(image_id))[2] == body
        assert (await site.get(f"{image_id}.png?thumb=9"))[0] == 200


async def test_missing_and_short_blobs_and_blobs_without_a_record_are_reported_and_stay(site: Site) -> None:
    bodies = [numbered(number) for number in range(4)]
    ids = [await site.upload(body) for body in bodies]
    await site.replace(bodies[0], None)
    await site.replace(bodies[1], bodies[1][:-1])
    orphan = b"an orphan"
    await site.replace(orphan, orphan)
    code, report = site.report()
    assert code == 1
    found = {each["sha256"]: each["damage"] for each in report["findings"]}  # type: ignore[attr-defined]
    shas = [hashlib.sha256(body).hexdigest() for body in bodies]
    assert found == {shas[0]: "missing", shas[1]: "wrong size"}
    key = site.blobs.key(hashlib.sha256(orphan).hexdigest())
    assert report["orphan_names"] == [key]
    assert await site.blobs.size(hashlib.sha256(orphan).hexdigest()) == len(orphan)
    await site.replace(bodies[0], bodies[0])  # a disk that was not mounted, for example
    assert (await site.get(ids[0]))[0] == 200, "without another scrub"


async def test_a_variant_of_damaged_bytes_is_not_served_after_the_repair(site: Site) -> None:
    """The damaged blob is a whole image with other pixels: the worst case, which no decoder notices."""
    good = pictures.jpeg(Q=90)
    wrong = bytes(pictures.noise(64, 48).jpegsave_buffer(Q=20))
    size = max(len(good), len(wrong)) + 10
    good, wrong = good.ljust(size, b"\0"), wrong.ljust(size, b"\0")
    image_id = await site.upload(good)
    await site.replace(good, wrong)
    status, _, served = await site.get(f"{image_id}.png?thumb=21")
    if site.blobs.path("0" * 64):
        assert status == 200, "nobody knows yet"
        assert site.report()[0] == 1
        await site.replace(good, good)
        assert site.report()[0] == 0
        deadline = time.monotonic() + 20
        while (await site.get(f"{image_id}.png?thumb=21"))[2] == served:
            assert time.monotonic() < deadline, "the cached variant was purged"
    else:
        assert status == 502, "what is fetched is verified"
    await site.replace(good, good)
    status, _, body = await site.get(f"{image_id}.png?thumb=22")
    assert status == 200
    difference = pictures.pixels(pictures.decode(body)) - pictures.pixels(pictures.decode(good).thumbnail_image(22))
    assert abs(difference).mean() < 9


@LOCAL
async def test_the_rate_is_limited(site: Site) -> None:
    for number in range(4):
        await site.upload(pictures.of_size(MIB + number))
    _, report = site.report("--rate", "1MiB")
    assert report["bytes"] == 4 * MIB + 6
    assert 2.9 < float(str(report["seconds"])) < 30


@LOCAL
async def test_a_finding_is_printed_at_once_and_progress_in_plain_lines(site: Site) -> None:
    body = numbered(1)
    image_id = await site.upload(body)
    await site.replace(body, flipped(body))
    done = site.scrub()
    assert done.returncode == 1
    key = site.blobs.key(hashlib.sha256(body).hexdigest())
    assert done.stdout.splitlines()[0] == f"corrupt: {key} ({len(body)} bytes), images: {image_id}"
    assert "1 damaged" in done.stdout
    assert "\r" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@LOCAL
async def test_a_terminal_gets_a_bar(site: Site) -> None:
    for number in range(2):
        await site.upload(pictures.of_size(MIB + number))
    main, other = pty.openpty()
    with subprocess.Popen(
        [*_RUN, "--rate", "1MiB"], env=site.environment, cwd=servers.ROOT, stdout=subprocess.PIPE, stderr=other
    ) as process:
        os.close(other)
        shown = os.read(main, 4096)
        assert b"\r[" in shown
        assert b"%" in shown
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
        assert process.returncode == 130
        assert b"not finished: interrupted" in out
    os.close(main)


async def test_a_store_that_is_out_of_order_is_exit_code_3(site: Site) -> None:
    await site.upload(numbered(1))
    if site.blobs.path("0" * 64):
        site.environment["DATABASE_URL"] = f"postgresql://x@127.0.0.1:{servers.free_port()}/x"
    else:
        for number in range(2, 13):
            await site.upload(numbered(number))
        site.environment["AWS_ENDPOINT"] = f"http://127.0.0.1:{servers.free_port()}"
    done = site.scrub("--json")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "environment", "text"),
    [
        (["--rate", "fast"], {}, "'fast' is not a rate"),
        ([], {"BLOB_URL": "memory://"}, "nothing to scrub"),
        ([], {"DATA_DIR": "/nowhere"}, "does not exist"),
        ([], {}, "the database lacks the migrations 0001_images"),
        ([], {"BLOB_URL": "nonsense://x"}, "is not a blob store"),
    ],
)
def test_wrong_usage_is_exit_code_2(tmp_path: Path, options: list[str], environment: dict[str, str], text: str) -> None:
    variables = {**os.environ, "PYTHONPATH": str(servers.ROOT), "DATA_DIR": str(tmp_path), **environment}
    (tmp_path / "images.sqlite3").touch()
    done = subprocess.run([*_RUN, *options], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_store_that_lets_nobody_in_is_not_taken_for_damage(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with servers.s3(tmp_path, "rclone") as store:
        settings = store | {"DATA_DIR": str(tmp_path / "data"), "BLOB_URL": "s3://bucket/images"}
        with servers.serve(tmp_path, **settings) as served:
            site = Site(served.url, {**os.environ, **settings}, Blobs("memory://"), http, served.process)
            for number in range(3):
                await site.upload(numbered(number))
            site.environment["AWS_SECRET_ACCESS_KEY"] = "another"
            done = site.scrub()
        assert done.returncode == 3
        first, second = done.stdout.splitlines()
        assert first == "not finished: the last 3 blobs could not be read; check the blob store"
        assert ": 0 damaged" in second
        said = "the blob store refuses the service; an operator has to check the credentials and their permissions"
        with servers.serve(tmp_path, **settings | {"AWS_SECRET_ACCESS_KEY": "another"}) as served:
            deadline = time.monotonic() + 20
            while said not in served.log.read_text():
                assert time.monotonic() < deadline, served.log.read_text()
                await asyncio.sleep(0.05)
        with servers.serve(tmp_path, **settings | {"BLOB_URL": "s3://bucke/images"}) as served:
            deadline = time.monotonic() + 20
            while "BLOB_URL: the blob store does not respond, so uploads fail" not in served.log.read_text():
                assert time.monotonic() < deadline, served.log.read_text()
                await asyncio.sleep(0.05)
