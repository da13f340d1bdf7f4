"""Uploads, aborted uploads and deletions, while a sweeper runs all the time."""

import asyncio
import itertools
import random
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests import pictures, servers
from tests.faults.length import LONG
from tests.faults.test_disks import new_database

UPLOADS = 10_000 if LONG else 600
_CLIENTS = 16
_ABORTED = 0.2
_DELETED = 0.1
_REPEATED = 0.3
"""The share of uploads with bytes that others have, too: their blobs come and go under other uploads."""
_POPULAR = 5
PHOTO = bytes(pictures.noise(60, 40).jpegsave_buffer())


@dataclass
class Site:
    """A service that sweeps every second, and its database."""

    url: str
    folder: Path
    database: str
    counted: Counter[str] = field(default_factory=Counter)

    def blobs(self) -> set[str]:
        return {path.name for path in (self.folder / "data/blobs/sha256").rglob("*") if path.is_file()}

    def rows(self) -> set[str]:
        """The contents of all images that are not deleted."""
        query = "SELECT DISTINCT sha256 FROM images WHERE deleted_at IS NULL"
        if self.database:
            psql = [servers.program("psql"), self.database, "-Atqc", query]
            return set(subprocess.run(psql, check=True, capture_output=True, text=True).stdout.split())
        with sqlite3.connect(self.folder / "data/images.sqlite3") as connection:
            return {row[0] for row in connection.execute(query)}


@pytest.fixture(params=["sqlite", "postgres"] if LONG else ["sqlite"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    database = new_database(request.getfixturevalue("postgres_url")) if request.param == "postgres" else ""
    settings = {"DATABASE_URL": database, "SWEEP_SECONDS": "1", "RENDERERS": "1", "LOG_LEVEL": "WARNING"}
    with servers.serve(tmp_path, **settings) as served:
        yield Site(served.url, tmp_path, database)


@contextmanager
def counting(site: Site, what: str) -> Iterator[None]:
    yield
    site.counted[what] += 1


async def abort(url: str, body: bytes, sent: int) -> None:
    """Hang up after `sent` bytes of the request."""
    parts = urlsplit(url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    with suppress(OSError):
        writer.write(request[:sent])
        await writer.drain()
        await asyncio.sleep(random.Random(sent).choice((0, 0.001, 0.005, 0.02)))  # anywhere in its handling
        writer.transport.abort()


@pytest.mark.timeout(3600)
async def test_no_row_is_without_a_blob_and_no_blob_without_a_row(site: Site, http: aiohttp.ClientSession) -> None:
    chance, numbers = random.Random(10), itertools.count()
    known: list[tuple[str, bytes]] = []

    async def client() -> None:
        while (number := next(numbers)) < UPLOADS:
            repeated = chance.random() < _REPEATED
            body = PHOTO + (number % _POPULAR if repeated else number + 1000).to_bytes(4)
            if chance.random() < _ABORTED:
                with counting(site, "aborted"):
                    await abort(site.url, body, chance.choice([150, len(body) // 2, len(body) + 200, len(body) + 200]))
                continue
            headers = {"Content-Type": "image/jpeg"}
            async with http.post(f"{site.url}/v1/images", data=body, headers=headers) as answer:
                assert answer.status == 201, await answer.text()
                known.append(((await answer.json())["image_id"], body))
                site.counted["uploaded"] += 1
            if known and chance.random() < _DELETED / (1 - _ABORTED):  # others may have deleted them all
                image_id, _ = known.pop(chance.randrange(len(known)))
                async with http.delete(f"{site.url}/v1/images/{image_id}") as answer:
                    assert answer.status == 204, await answer.text()
                    site.counted["deleted"] += 1

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    deadline = time.monotonic() + 60
    while site.blobs() != site.rows():
        assert time.monotonic() < deadline, (len(site.blobs() - site.rows()), len(site.rows() - site.blobs()))
        await asyncio.sleep(0.2)
    print(f"\n{dict(site.counted)}: {len(site.rows())} contents, all with their blobs, and no blob more")
    for start in range(0, len(known), 100):
        some = known[start : start + 100]
        answers = await asyncio.gather(*(_get(http, f"{site.url}/v1/images/{image_id}") for image_id, _ in some))
        assert answers == [body for _, body in some]
    assert not list((site.folder / "data/blobs/incoming").iterdir())


async def _get(http: aiohttp.ClientSession, url: str) -> bytes:
    async with http.get(url) as answer:
        return await answer.read()
