"""Blobs in files, in memory and in S3: added completely or not at all, and found by their content."""

import asyncio
import hashlib
import os
import re
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from service_kit.errors import InsufficientStorage, Unavailable
from storage_service.blobs import BlobMissing, Blobs
from tests.servers import ROOT, missing, small_disk

BODY = os.urandom(700_000)
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(params=["file", "memory", "s3", "rclone"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    if request.param in {"s3", "rclone"}:
        for name, value in request.getfixturevalue(f"{request.param}_settings").items():
            monkeypatch.setenv(name, value)
        return Blobs(f"s3://bucket/{uuid.uuid4().hex}")
    return Blobs(f"file://{tmp_path}/a%20folder" if request.param == "file" else "memory://")


def _upload(blobs: Blobs, body: bytes = BODY) -> Path:
    blobs.spool_folder.mkdir(parents=True, exist_ok=True)
    path = blobs.spool_folder / "upload"
    path.write_bytes(body)
    return path


async def _read(blobs: Blobs, start: int, end: int) -> bytes:
    return b"".join([bytes(chunk) async for chunk in await blobs.open(SHA, len(BODY), range(start, end))])


async def test_a_blob_can_be_read_whole_and_in_parts(blobs: Blobs) -> None:
    assert not await blobs.exists(SHA, len(BODY))
    await blobs.add(SHA, _upload(blobs))
    assert await blobs.exists(SHA, len(BODY))
    assert await _read(blobs, 0, len(BODY)) == BODY
    assert await _read(blobs, 1000, 300_001) == BODY[1000:300_001]


async def test_adding_twice_changes_nothing(blobs: Blobs) -> None:
    for _ in range(2):
        await blobs.add(SHA, _upload(blobs))
    assert await _read(blobs, 0, len(BODY)) == BODY


async def test_a_cancelled_addition_has_ended_when_its_caller_has(tmp_path: Path) -> None:
    """Its caller then lets others change the same content."""
    blobs = Blobs(f"file://{tmp_path}/blobs")
    os.mkfifo(upload := tmp_path / "upload")  # opening it takes until somebody writes to it
    adding = asyncio.create_task(blobs.add(SHA, upload))
    await asyncio.wait([adding], timeout=0.05)
    adding.cancel()
    await asyncio.wait([adding], timeout=0.05)
    assert not adding.done()
    os.close(os.open(upload, os.O_WRONLY))
    with pytest.raises(asyncio.CancelledError):
        await adding


async def test_a_deleted_blob_is_gone(blobs: Blobs) -> None:
    await blobs.add(SHA, _upload(blobs))
    for _ in range(2):
        await blobs.delete(SHA)
    assert not await blobs.exists(SHA, len(BODY))
    with pytest.raises(BlobMissing):
        await blobs.open(SHA, len(BODY), range(1))


async def test_a_truncated_blob_counts_as_missing_until_it_is_added_again(blobs: Blobs) -> None:
    await blobs.add(SHA, _upload(blobs, BODY[:1000]))
    assert not await blobs.exists(SHA, len(BODY))
    for part in (range(500), range(len(BODY)), range(2000, 3000)):
        with pytest.raises(BlobMissing):
            await blobs.open(SHA, len(BODY), part)
    await blobs.add(SHA, _upload(blobs))
    assert await _read(blobs, 0, len(BODY)) == BODY


async def test_the_list_of_old_blobs_omits_uploads_in_progress(blobs: Blobs) -> None:
    await blobs.add(SHA, _upload(blobs))
    _upload(blobs)
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert [batch async for batch in blobs.list_older(later)] == [[SHA]]
    assert [batch async for batch in blobs.list_older(later - timedelta(hours=1))] == [[]]


async def test_only_files_have_paths_and_only_object_stores_have_urls(
    blobs: Blobs, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await blobs.add(SHA, _upload(blobs))
    path, url = blobs.path(SHA), await blobs.presigned_url(SHA, timedelta(minutes=10))
    assert not (path and url)
    if path:
        assert path == tmp_path / "a folder" / "sha256" / SHA[:2] / SHA[2:4] / SHA
    if url:
        assert "X-Amz-Signature=" in url
        assert "X-Amz-Expires=600" in url
        async with http.get(url) as response:
            assert await response.read() == BODY


async def test_an_object_store_that_is_down_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    for name, value in {
        "ACCESS_KEY_ID": "key",
        "SECRET_ACCESS_KEY": "secret",
        "REGION": "eu-west-1",
        "ENDPOINT": f"http://127.0.0.1:{unused_tcp_port}",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with pytest.raises(Unavailable) as raised:
        await Blobs("s3://bucket").exists(SHA, 1)
    assert "connect" in str(raised.value.__cause__).lower()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "use file:///path, s3://bucket/prefix or memory://"),
        ("file", "use file:///path, s3://bucket/prefix or memory://"),
        ("nonsense://x", "Unable to recognise URL"),
        ("s3://", "Unable to recognise URL"),
    ],
)
def test_an_invalid_blob_url_is_reported(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"BLOB_URL='.*' is not a blob store: .*{reason}"):
        Blobs(url)


async def test_a_full_disk_is_reported_and_leaves_no_blob(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "size=256k,nr_inodes=4") as mount:
        blobs = Blobs(f"file://{mount}/b")
        with pytest.raises(InsufficientStorage):
            await blobs.add(SHA, _upload(blobs, b"x" * 1000))
        assert not await blobs.exists(SHA, len(BODY))


def test_a_file_is_synced_before_it_is_visible(tmp_path: Path) -> None:
    """fsync of the file, rename, fsync of the folder, in this order, as strace shows."""
    trace = tmp_path / "trace"
    program = f"""
import asyncio, pathlib
from storage_service.blobs import Blobs
blobs = Blobs("file://{tmp_path}/b")
blobs.spool_folder.mkdir(parents=True)
upload = blobs.spool_folder / "upload"
upload.write_bytes(b"x" * 5000)
asyncio.run(blobs.add("ab" * 32, upload))
"""
    command = ["strace", "-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2", "-o", trace]
    try:
        subprocess.run([*command, sys.executable, "-c", program], cwd=ROOT, check=True)
    except FileNotFoundError:
        missing("strace is not installed")
    folder, name = f"{tmp_path}/b/sha256/ab/ab", "ab" * 32
    calls = [line for line in trace.read_text().splitlines() if str(tmp_path) in line and "= 0" in line]
    wanted = [
        rf"fsync\(\d+<{tmp_path}/b/incoming/upload>\)",
        rf"fsync\(\d+<{tmp_path}/b>\)",
        rf"fsync\(\d+<{tmp_path}/b/sha256>\)",
        rf"fsync\(\d+<{tmp_path}/b/sha256/ab>\)",
        rf'rename\w*\(.*"{folder}/{name}"',
        rf"fsync\(\d+<{folder}>\)",
    ]
    assert len(calls) == len(wanted), calls
    for call, pattern in zip(calls, wanted, strict=True):
        assert re.search(pattern, call), (call, pattern)
