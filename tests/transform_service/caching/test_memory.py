"""The store in memory: its process grows by no more than its size, whatever is stored."""

import subprocess
import sys

import pytest

from transform_service.caching.memory import MemoryStore

MIB = 1024**2
SIZE = 32 * MIB
FILL = """
import asyncio, hashlib, json, os, random, sys
from pathlib import Path
from transform_service.caching.memory import MemoryStore

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

def digest(number):
    return hashlib.sha256(str(number).encode()).hexdigest()

async def main(size, phases):
    await MemoryStore(1_000_000).put("warm", bytes(1000), 60, "up")
    store, picked, number, start, most = MemoryStore(size), random.Random(7), 0, resident(), 0
    for largest in phases:
        for _ in range(min(60_000, 3 * size // largest)):
            number += 1
            value = os.urandom(picked.randrange(largest // 2, largest) + 1)
            await store.put(f"result:{digest(number)}", value, 60, digest(-number // 3))
            await store.get(f"result:{digest(picked.randrange(number))}")
            if not number % 500:
                most = max(most, resident() - start)
    print(most)

asyncio.run(main(*json.loads(sys.argv[1])))
"""


def growth(size: int, *phases: int) -> int:
    """Bytes by which a process grows that stores values of up to so many bytes, one phase after the other."""
    argument = f"[{size}, {list(phases)}]"
    return int(subprocess.run([sys.executable, "-c", FILL, argument], check=True, capture_output=True).stdout)


@pytest.mark.parametrize("phases", [(2,), (300,), (20_000,), (900_000,), (2, 1000, 3000, 200_000, 2, 20_000)])
def test_a_process_grows_by_the_size_of_the_store(phases: tuple[int, ...]) -> None:
    assert growth(SIZE, *phases) < 1.03 * SIZE + 2 * MIB


async def test_the_values_used_last_are_kept() -> None:
    store = MemoryStore(1_000_000)
    for number in range(1000):
        await store.put(str(number), bytes([number % 256]) * 10_000, 60)
        assert await store.get("0") == bytes(10_000), "it is used all the time"
    kept = [number for number in range(1000) if await store.get(str(number))]
    assert kept[0] == 0
    assert kept[1:] == list(range(kept[1], 1000))
    assert len(kept) > 40


async def test_a_value_larger_than_the_store_is_not_kept() -> None:
    store = MemoryStore(10_000)
    await store.put("large", bytes(10_001), 60)
    assert await store.get("large") is None
    for size in (0, 1, 799):
        store = MemoryStore(size)
        for value in (b"", b"x"):
            await store.put("key", value, 60, "group")
            assert await store.get("key") is None
        await store.remove_group("group")


async def test_values_of_many_sizes_stay_as_they_were_put() -> None:
    store, kept = MemoryStore(300_000), 0
    for number in range(3000):
        await store.put(str(number), str(number).encode() * (number % 977 + 1), 60, str(number % 7))
        for other in (number, number // 2, number - 40, number - 90):
            value = await store.get(str(other))
            assert value in {None, str(other).encode() * (other % 977 + 1)}
            kept += value is not None
    assert kept > 3000
    await store.remove_group("3")
    assert not [number for number in range(3, 3000, 7) if await store.get(str(number))]
    assert [number for number in range(4, 3000, 7) if await store.get(str(number))]


async def test_removing_a_group_looks_at_its_values_only() -> None:
    store = MemoryStore(64 * MIB)
    for number in range(9000):
        await store.put(str(number), b"x", 60, str(number // 2))
    entries = store._entries
    store._entries = None  # type: ignore[assignment]  # anything that goes through all of them fails
    await store.remove_group("unknown")
    store._entries = entries
    await store.remove_group("7")
    assert [await store.get(str(number)) for number in (13, 14, 15, 16)] == [b"x", None, None, b"x"]
    assert len(entries) == 8998
