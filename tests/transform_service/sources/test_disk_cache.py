"""The cache of originals on the local disk."""

import asyncio
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service_kit.errors import GatewayTimeout
from service_kit.spool import Spool, Spooled
from tests import servers
from transform_service.sources._disk_cache import DiskCache

KIB = 1024
SIZE = 20 * KIB
LIMIT = 100 * KIB
"""Room for four originals, and for the sixteenth that stays free."""


def original(number: int) -> bytes:
    return bytes([number]) * SIZE


def name(number: int) -> str:
    return hashlib.sha256(original(number)).hexdigest()


class Store:
    """An object store that counts fetches, and may wait or fail."""

    def __init__(self) -> None:
        self.fetches: list[int] = []
        self.going = asyncio.Event()
        self.going.set()
        self.error: Exception | None = None

    @asynccontextmanager
    async def fetch(self, number: int, spool: Spool) -> AsyncIterator[Spooled]:
        self.fetches.append(number)
        async with spool.writer(SIZE, "the original") as writer:
            await self.going.wait()
            if self.error:
                raise self.error
            await writer.write(original(number))
            yield await writer.finish()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "cache", LIMIT)


async def read(cache: DiskCache, store: Store, number: int) -> bytes | None:
    async with cache.open(name(number), SIZE, lambda spool: store.fetch(number, spool)) as path:
        return path.read_bytes() if path else None


def kept(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if len(file.name) == 64}


async def test_an_original_is_fetched_once(cache: DiskCache, store: Store, tmp_path: Path) -> None:
    for _ in range(3):
        assert await read(cache, store, 1) == original(1)
    assert store.fetches == [1]
    assert {file.name for file in (tmp_path / "cache").iterdir()} == {name(1), "lock"}


async def test_simultaneous_requests_share_a_fetch(cache: DiskCache, store: Store) -> None:
    store.going.clear()
    reading = [asyncio.create_task(read(cache, store, 1)) for _ in range(50)]
    while not store.fetches:
        await asyncio.sleep(0.001)
    reading.pop(0).cancel()  # the one that started it hangs up
    store.going.set()
    assert await asyncio.gather(*reading) == [original(1)] * 49
    assert store.fetches == [1]


async def test_a_request_that_is_late_for_a_fetch_uses_its_file(
    cache: DiskCache, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_nothing, go_on, link = threading.Event(), threading.Event(), os.link

    def slow_link(source: Path, target: Path) -> None:
        try:
            link(source, target)
        except FileNotFoundError:
            found_nothing.set()
            go_on.wait(10)
            raise

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", slow_link)
        late = asyncio.create_task(read(cache, store, 1))
        assert await asyncio.to_thread(found_nothing.wait, 10)
    assert await read(cache, store, 1) == original(1)
    go_on.set()
    assert await late == original(1)
    assert store.fetches == [1]


async def test_a_fetch_ends_when_nobody_waits_for_it(cache: DiskCache, store: Store, tmp_path: Path) -> None:
    store.going.clear()
    reading = [asyncio.create_task(read(cache, store, 1)) for _ in range(3)]
    while not store.fetches:
        await asyncio.sleep(0.001)
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    while cache._flights.waiting or len(list((tmp_path / "cache").iterdir())) > 1:  # the lock
        await asyncio.sleep(0.001)
    store.going.set()
    assert await read(cache, store, 1) == original(1)


async def test_a_request_that_hangs_up_leaves_no_name(store: Store, tmp_path: Path) -> None:
    """Its thread would give the original another name after the request has removed it."""
    big = bytes(32 * KIB * KIB)
    sha256 = hashlib.sha256(big).hexdigest()
    (tmp_path / sha256).write_bytes(big)
    cache = DiskCache(tmp_path, 2 * len(big))

    async def use() -> None:
        async with cache.open(sha256, len(big), lambda spool: store.fetch(1, spool)):
            pytest.fail("it was not cancelled")

    using = asyncio.create_task(use())
    await asyncio.sleep(0)
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert sha256 in cache._verified, "its thread has ended"
    assert [file.name for file in tmp_path.iterdir()] == [sha256]


async def test_an_eviction_removes_names_that_a_killed_process_left(
    cache: DiskCache, store: Store, tmp_path: Path
) -> None:
    await read(cache, store, 0)
    left = tmp_path / "cache" / ("a" * 32)
    os.link(tmp_path / "cache" / name(0), left)
    os.utime(left, (0, 0))
    for number in range(1, 6):
        assert await read(cache, store, number) == original(number)
    assert not left.exists()
    assert len(kept(tmp_path / "cache")) >= 3


async def test_a_failed_fetch_fails_all_that_wait_for_it_and_is_repeated(cache: DiskCache, store: Store) -> None:
    store.error = GatewayTimeout("slow")
    store.going.clear()
    reading = [asyncio.create_task(read(cache, store, 1)) for _ in range(5)]
    while cache._flights.waiting != [5]:
        await asyncio.sleep(0.001)
    store.going.set()
    results = await asyncio.gather(*reading, return_exceptions=True)
    assert [type(result) for result in results] == [GatewayTimeout] * 5
    assert store.fetches == [1]
    store.error = None
    assert await read(cache, store, 1) == original(1)


async def test_what_was_not_used_for_longest_goes_first(cache: DiskCache, store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    for number in range(4):
        await read(cache, store, number)
        os.utime(folder / name(number), (number, number))
    await read(cache, store, 0)
    for number in range(4, 7):
        await read(cache, store, number)
        assert sum(file.stat().st_size for file in folder.iterdir()) <= LIMIT
    assert name(0) in kept(folder)
    assert not kept(folder) & {name(1), name(2)}


async def test_many_small_originals_count_as_blocks(cache: DiskCache, tmp_path: Path) -> None:
    """A million files of a hundred bytes would fill the disk's inodes, and this process's memory."""
    for number in range(40):
        body = number.to_bytes(4)

        @asynccontextmanager
        async def fetch(spool: Spool, body: bytes = body) -> AsyncIterator[Spooled]:
            async with spool.writer(4, "the original") as writer:
                await writer.write(body)
                yield await writer.finish()

        async with cache.open(hashlib.sha256(body).hexdigest(), 4, fetch) as path:
            assert path
    assert len(kept(tmp_path / "cache")) <= LIMIT // (16 * KIB)
    assert len(cache._verified) <= LIMIT // (16 * KIB)


async def test_an_original_in_use_outlasts_its_eviction(cache: DiskCache, store: Store, tmp_path: Path) -> None:
    async with cache.open(name(1), SIZE, lambda spool: store.fetch(1, spool)) as path:
        os.utime(tmp_path / "cache" / name(1), (time.time() - 60,) * 2)
        for number in range(2, 9):
            await read(cache, store, number)
        assert name(1) not in kept(tmp_path / "cache")
        assert path
        assert path.read_bytes() == original(1)
    assert not path.exists()


async def test_an_original_that_is_larger_than_the_cache_is_not_kept(store: Store, tmp_path: Path) -> None:
    for limit in (0, SIZE - 1):
        cache = DiskCache(tmp_path / "cache", limit)
        assert await read(cache, store, 1) is None
    assert not store.fetches, "the caller fetches it"
    assert not (tmp_path / "cache").exists()


async def test_more_fetches_than_fit_are_not_kept(cache: DiskCache, store: Store, tmp_path: Path) -> None:
    store.going.clear()
    reading = [asyncio.create_task(read(cache, store, number)) for number in range(20)]
    while len(store.fetches) + sum(task.done() for task in reading) < len(reading):
        await asyncio.sleep(0.01)
    store.going.set()
    results = await asyncio.gather(*reading)
    assert {result for result in results if result} <= {original(number) for number in range(20)}
    assert 0 < len([result for result in results if result]) <= 5
    assert sum(file.stat().st_size for file in (tmp_path / "cache").iterdir()) <= LIMIT


async def test_the_cache_outlasts_its_process_and_verifies_what_it_finds(
    cache: DiskCache, store: Store, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        await read(cache, store, number)
    (tmp_path / "cache" / name(2)).write_bytes(bytes(SIZE))  # as after a crash of the machine
    (tmp_path / "cache" / name(3)).write_bytes(b"")
    store.fetches.clear()
    another = DiskCache(tmp_path / "cache", LIMIT)
    for number in (1, 2, 3):
        assert await read(another, store, number) == original(number)
    assert store.fetches == [2, 3]


async def test_left_overs_of_a_killed_process_are_removed(store: Store, tmp_path: Path) -> None:
    left = tmp_path / "cache" / ("0" * 32)
    left.parent.mkdir()
    left.write_bytes(original(1))
    os.utime(left, (1, 1))
    await read(DiskCache(tmp_path / "cache", LIMIT), store, 1)
    assert not left.exists()


async def test_a_forgotten_original_is_removed_and_no_other_file(
    cache: DiskCache, store: Store, tmp_path: Path
) -> None:
    await read(cache, store, 1)
    other = tmp_path / "other"
    other.touch()
    for each in (name(1), name(2), "../other"):
        await cache.forget(each)
    assert not kept(tmp_path / "cache")
    assert other.exists()


async def test_a_name_from_elsewhere_leads_to_no_other_file(cache: DiskCache, store: Store, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(original(1))
    await read(cache, store, 2)
    async with cache.open("../secret", SIZE, lambda spool: store.fetch(1, spool)) as path:
        assert path is None


async def test_a_full_disk_is_a_miss(store: Store, tmp_path: Path) -> None:
    with servers.small_disk(tmp_path / "cache", "size=64k") as disk:
        cache = DiskCache(disk, LIMIT)
        found = [await read(cache, store, number) for number in range(8)]
        assert found[0] == original(0)
        assert {body for body in found if body} <= {original(number) for number in range(8)}
        assert sum(body is not None for body in found) > 3, "it makes room for others"
        assert not [file for file in disk.iterdir() if len(file.name) == 32]


async def test_an_unusable_folder_is_a_miss(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert await read(DiskCache(tmp_path / "file" / "cache", LIMIT), store, 1) is None


async def test_processes_share_a_folder(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from tests.transform_service.sources.test_disk_cache import LIMIT, DiskCache, Store, original, read

async def main():
    cache, store = DiskCache(Path(sys.argv[1]), LIMIT), Store()
    for turn in range(60):
        number = (turn * 7 + int(sys.argv[2])) % 11
        found = await read(cache, store, number)
        assert found in (original(number), None), number

asyncio.run(main())
"""
    command = [sys.executable, "-c", program, str(tmp_path / "cache")]
    processes = [subprocess.Popen([*command, str(number)], cwd=servers.ROOT) for number in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    sizes = [file.stat().st_size for file in (tmp_path / "cache").iterdir()]
    assert sum(sizes) <= LIMIT * (1 + 3 / 16) + SIZE
