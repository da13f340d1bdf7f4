"""Redis may hold anything: what this deployment did not seal is a miss, and never an error."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from imaging.header import Header
from imaging.locator import Located
from service_kit.errors import Gone
from tests.transform_service.caching.stores import redis_store
from transform_service.caching import sealing
from transform_service.caching.places import BlobPlaces
from transform_service.caching.records import CachedLocator
from transform_service.caching.redis import RedisStore
from transform_service.caching.results import ResultCache
from transform_service.caching.sealing import Seal
from transform_service.settings import TransformSettings

ID, SHA256 = "0123456789abcdef" * 2, "a" * 64
PLACES = BlobPlaces(TransformSettings(blob_url="file:///blobs"))
HEADER = Header(
    format="png", width=1, height=1, frames=1, orientation=1, colour_space="srgb", alpha=False, progressive=False
)
RIGHT = Located(
    image_id=ID,
    sha256=SHA256,
    bytes=1,
    header=HEADER,
    path=Path("/blobs/sha256/aa/aa/a"),
    visibility="public",
    space="default",
)
EVIL = RIGHT.model_copy(update={"path": Path("/etc/passwd")})


class Storage:
    """A storage service with one image, that counts questions."""

    def __init__(self) -> None:
        self.asked = 0

    async def locate(self, _image_id: str) -> Located:
        self.asked += 1
        return RIGHT

    confirm = locate


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    made = redis_store(redis_url)
    await made._run("FLUSHALL")
    yield made
    await made.close()


def dumped(**changes: object) -> bytes:
    """The right record as JSON, with changes."""
    return json.dumps({**json.loads(RIGHT.model_dump_json()), **changes}).encode()


FORGED = [
    EVIL.model_dump_json().encode(),
    b"gone",
    b"",
    b"{",
    bytes(100),
    bytes(20_000_000),
    Seal("someone else's secret, also long enough").close(f"record:{ID}", EVIL.model_dump_json().encode(), 60),
    Seal("someone else's secret, also long enough").close(f"record:{ID}", b"gone", 60),
]


@pytest.mark.parametrize("stored", FORGED, ids=range(len(FORGED)))
async def test_a_record_without_our_seal_is_replaced(store: RedisStore, stored: bytes) -> None:
    storage = Storage()
    await store._run("SET", f"imgsvc:record:{ID}", stored)
    assert await CachedLocator(storage, store, PLACES).locate(ID) == RIGHT
    assert await CachedLocator(storage, store, PLACES).locate(ID) == RIGHT
    assert storage.asked == 1


SEALED = {
    "elsewhere": dumped(path="/etc/passwd"),
    "above": dumped(path="/blobs/../etc/passwd"),
    "beside": dumped(path="/blobs2/x"),
    "relative": dumped(path="blobs/x"),
    "nowhere": dumped(path=None),
    "both": dumped(url="http://127.0.0.1:8081/x"),
    "foreign host": dumped(path=None, url="http://169.254.169.254/latest"),
    "unknown field": dumped(version=2),
    "missing field": json.dumps({"image_id": ID}).encode(),
    "wrong type": dumped(bytes="many"),
    "another image": dumped(image_id=ID[::-1]),
    "unknown format": dumped(header={**json.loads(HEADER.model_dump_json()), "format": "jxl"}),
    "unknown field of the header": dumped(header={**json.loads(HEADER.model_dump_json()), "hdr": True}),
    "no JSON": b"\xff\xfe",
    "a list": b"[]",
}


@pytest.mark.parametrize("name", SEALED)
async def test_a_record_that_this_version_would_not_write_is_a_miss(store: RedisStore, name: str) -> None:
    await store.put(f"record:{ID}", SEALED[name], 60)
    storage = Storage()
    assert await CachedLocator(storage, store, PLACES).locate(ID) == RIGHT
    assert storage.asked == 1


async def test_a_record_that_was_put_back_is_valid_only_as_long_as_it_was(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "_SKEW_SECONDS", 0)
    await store.put(f"record:{ID}", dumped(), 0.05)
    old = await store._run("GET", f"imgsvc:record:{ID}")
    await store.put(f"record:{ID}", b"gone", 60)
    mark = await store._run("GET", f"imgsvc:record:{ID}")
    while await store._run("SET", f"imgsvc:record:{ID}", old) and await store.get(f"record:{ID}"):
        await asyncio.sleep(0.01)
    await store._run("SET", f"imgsvc:record:{ID}", mark)
    with pytest.raises(Gone):
        await CachedLocator(Storage(), store, PLACES).locate(ID)


@pytest.mark.parametrize("kind", ["r", "f", "x", ""])
async def test_a_result_without_our_seal_is_a_miss(store: RedisStore, kind: str) -> None:
    await store._run("SET", "imgsvc:result:key", f"{kind}<script>")
    assert await ResultCache(store, 100, 10).find("key") is None


@pytest.mark.parametrize("value", [b"", b"x", b"xyz", b"f\xff\xff"])
async def test_a_result_of_another_version_is_no_error(store: RedisStore, value: bytes) -> None:
    await store.put("result:key", value, 60)
    cache = ResultCache(store, 100, 10)
    if value[:1] != b"f":
        assert await cache.find("key") is None
    else:
        with pytest.raises(Exception, match="��"):
            await cache.find("key")


async def test_values_are_not_interchangeable(store: RedisStore) -> None:
    """Neither with those of another key, nor with a part moved between key and value."""
    await store.put("result:ab", b"value", 60)
    sealed = await store._run("GET", "imgsvc:result:ab")
    for key, stored in (
        ("result:cd", sealed),
        ("result:a", sealed[: sealing.SEAL_BYTES] + b"bvalue"),
        ("result:ab", sealed[:-1]),
        ("result:ab", sealed + b"x"),
        ("result:ab", bytes([sealed[0] + 1]) + sealed[1:]),
        ("result:ab", sealed[:1] + b"\x7f" + sealed[2:]),
    ):
        await store._run("SET", f"imgsvc:{key}", stored)
        assert await store.get(key) is None, key
    await store._run("SET", "imgsvc:result:ab", sealed)
    assert await store.get("result:ab") == b"value"


@pytest.mark.parametrize("forged", [b"x", bytes(70), bytes(5_000_000), b"a set"])
async def test_a_forged_lease_delays_nobody(store: RedisStore, forged: bytes) -> None:
    if forged == b"a set":
        await store._run("SADD", "imgsvc:lease:key", forged)
    else:
        await store._run("SET", "imgsvc:lease:key", forged)
    async with asyncio.timeout(5), ResultCache(store, 100, 30).alone("key") as others:
        assert others is None
        assert not await store.add("lease:key", b"another node", 3), "it has a lease of its own"
    assert await store.add("lease:key", b"another node", 3)


async def test_a_lease_of_a_working_node_is_never_replaced(store: RedisStore) -> None:
    working = ResultCache(store, 100, 30)
    async with working.alone("key"):
        for _ in range(50):
            assert not await store.add("lease:key", b"other", 3)


async def test_a_hostile_group_list_is_removed(store: RedisStore) -> None:
    await store.put("result:one", b"x", 60, "group")
    index = "imgsvc:group:group"
    await store._run("SADD", index, b"\xff\xfe", bytes(3_000_000), "*", "", "x y\r\n")
    for start in range(0, 25_000, 5000):
        await store._run("SADD", index, *(f"result:{number}" for number in range(start, start + 5000)))
    await store.remove_group("group")
    assert not await store._run("EXISTS", index)
    await store._run("SET", index, "no set")
    await store.put("result:two", b"x", 60, "group")
    await store.remove_group("group")
    assert not await store._run("EXISTS", index)
    assert store._paused_until == 0, "others need not wait because of it"


@pytest.mark.parametrize("kind", ["LPUSH", "SADD", "HSET"])
async def test_a_key_of_another_type_is_a_miss(store: RedisStore, kind: str) -> None:
    for key in ("record:x", "lease:x"):
        await store._run(kind, f"imgsvc:{key}", *(["field", "value"] if kind == "HSET" else ["value"]))
    assert await store.get("record:x") is None
    assert await store.add("lease:x", b"owner", 60)
    assert await store.put("record:x", b"value", 60)
    assert await store.get("record:x") == b"value"
    assert store._paused_until == 0


async def test_a_huge_value_is_not_read(store: RedisStore, redis_url: str) -> None:
    async with redis.asyncio.from_url(redis_url) as patient:  # Redis needs more time for it than the store allows
        await patient.setrange("imgsvc:result:key", 400_000_000, "x")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert await store.get("result:key") is None
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
        await patient.flushall()
