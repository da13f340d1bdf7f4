"""What viewers request: counts in both databases, and what is left of them."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from service_kit.usage import NO_IMAGE, OTHER, ChainCount, ImageCount, Outcome, UsageBatch
from storage_service import usage as usage_module
from storage_service.metadata.base import MetadataStore
from storage_service.usage import Usage
from tests.servers import ROOT
from tests.storage_service.conftest import Storage
from tests.storage_service.test_metadata import add, record


@pytest.fixture
def usage(store: MetadataStore) -> Usage:
    return Usage(store)


@pytest.fixture
def hour(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The hour that it is, which tests may change."""
    now = [500_000]
    monkeypatch.setattr(usage_module, "_hour", lambda: now[0])
    return now


def chain(name: str, outcome: Outcome, requests: int, milliseconds: float = 0, size: int = 0) -> ChainCount:
    return ChainCount(chain=name, outcome=outcome, requests=requests, milliseconds=milliseconds, bytes=size)


def batch(*chains: ChainCount, images: dict[str, int] | None = None) -> UsageBatch:
    counts = [ImageCount(image_id=image_id, requests=requests) for image_id, requests in (images or {}).items()]
    return UsageBatch(id=uuid4().hex, chains=list(chains), images=counts)


async def test_batches_add_up_by_chain_and_outcome(usage: Usage, hour: list[int]) -> None:
    await usage.add(
        batch(
            chain("webp?thumb=300", Outcome.HIT, 90, size=9000),
            chain("webp?thumb=300", Outcome.LEVEL, 10, 50.5, 1000),
            chain("original", Outcome.FILE, 1, size=10**12),
        )
    )
    hour[0] += 1
    await usage.add(batch(chain("webp?thumb=300", Outcome.HIT, 100, size=1)))
    first, second = await usage.chains(hours=2)
    assert (first.chain, first.outcomes) == ("webp?thumb=300", {"hit": 190, "level": 10})
    assert (first.requests, first.renders, first.hit_ratio, first.seconds) == (200, 10, 0.95, 0.0505)
    assert (second.chain, second.requests, second.bytes) == ("original", 1, 10**12)
    assert [found.requests for found in await usage.chains(hours=1)] == [100]


@pytest.mark.usefixtures("hour")
async def test_a_batch_that_is_sent_again_counts_once(usage: Usage) -> None:
    same = batch(chain("webp?thumb=300", Outcome.HIT, 9))
    for _ in range(3):
        await usage.add(same)
    assert [found.requests for found in await usage.chains(1)] == [9]


@pytest.mark.usefixtures("hour")
async def test_rare_chains_do_not_take_the_place_of_those_that_are_requested_often(usage: Usage) -> None:
    for turn in range(3):
        junk = [chain(f"webp?thumb={n}", Outcome.RENDER, 1, 1) for n in range(turn * 800, turn * 800 + 800)]
        await usage.add(batch(*junk, images={f"{n:032x}": 1 for n in range(turn * 800, turn * 800 + 800)}))
    await usage.add(batch(chain("jpg?thumb=2", Outcome.HIT, 50)))
    found = {each.chain: each.requests for each in await usage.chains(hours=1)}
    assert sum(found.values()) == 3 * 800 + 50, "nothing is lost"
    assert found["jpg?thumb=2"] == 50
    assert len(found) == 502, "half of the places, the chain that came often, and the rest"
    assert found[OTHER] == 2400 - 500


@pytest.mark.usefixtures("hour")
async def test_images_count_while_they_exist(store: MetadataStore, usage: Usage) -> None:
    images = [record(number) for number in range(3)]
    for image in images:
        await add(store, image)
    first, second, third = (image.image_id for image in images)
    await usage.add(batch(chain("original", Outcome.FILE, 1), images={first: 5, second: 7, third: 1, NO_IMAGE: 9}))
    await usage.add(batch(chain("original", Outcome.FILE, 1), images={first: 5, "f" * 32: 99}))
    assert await usage.images(1, 2) == [(first, 10), (second, 7)]
    await usage.forget(first)
    assert await usage.images(1, 9) == [(second, 7), (third, 1)]


async def test_a_sweep_removes_what_is_old_or_about_deleted_images(
    store: MetadataStore, usage: Usage, hour: list[int]
) -> None:
    image = record(1)
    await add(store, image)
    await usage.add(batch(chain("original", Outcome.HIT, 1), images={image.image_id: 1}))
    await store.change("INSERT INTO usage_images (hour, image_id, requests) VALUES ($1, $2, 1)", hour[0], "e" * 32)
    await usage.sweep()
    assert await usage.images(1, 9) == [(image.image_id, 1)]
    assert [found.requests for found in await usage.chains(1)] == [1]
    hour[0] += 90 * 24
    await usage.sweep()
    assert await usage.chains(91 * 24) == []
    assert await usage.images(91 * 24, 9) == []


async def test_a_batch_that_is_not_one_is_refused_and_nothing_is_counted(storage: Storage) -> None:
    good = batch(chain("webp?thumb=300", Outcome.HIT, 2)).model_dump()
    for wrong in (
        {},
        {**good, "more": 1},
        {**good, "images": [{"image_id": "../x", "requests": 1}]},
        {**good, "chains": [{**good["chains"][0], "requests": -1}]},
        {**good, "chains": [{**good["chains"][0], "outcome": "luck"}]},
        {**good, "chains": [{**good["chains"][0], "milliseconds": float("nan")}]},
    ):
        async with storage.http.post(f"{storage.url}/internal/usage", json=wrong) as answer:
            assert answer.status == 400, wrong
    async with storage.http.post(f"{storage.url}/internal/usage", json=good) as answer:
        assert answer.status == 204


async def test_the_command_shows_what_was_requested(storage: Storage, tmp_path: Path) -> None:
    async def command(*options: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "imgsvc", "usage", *options), cwd=ROOT,
            env={"DATA_DIR": str(tmp_path), "PATH": ""}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        text, _ = await process.communicate()
        return process.returncode or 0, text.decode()

    assert (await command())[1] == "0 requests in 24 h, 0.0 s of renders\n"
    counted = batch(chain("webp?thumb=300", Outcome.HIT, 3, size=10**6), chain("original", Outcome.FILE, 1))
    async with storage.http.post(f"{storage.url}/internal/usage", json=counted.model_dump()) as answer:
        assert answer.status == 204
    shown = (await command("--limit", "1"))[1].splitlines()
    assert shown[:2] == [
        "4 requests in 24 h, 0.0 s of renders",
        "requests were counted for at most an hour; the advice settles after a day",
    ]  # fmt: skip
    assert [line.split()[:7] for line in shown[3:]] == [["webp?thumb=300", "3", "75.0%", "100.0%", "0", "0.0", "1.0"]]
    report = json.loads((await command("--json"))[1])
    assert (report["requests"], [found["chain"] for found in report["chains"]]) == (4, ["webp?thumb=300", "original"])
    assert await command("--hours", "0") == (2, "imgsvc: --hours 0 is not from 1 to 2160\n")
    assert await command("--limit", "0") == (2, "imgsvc: --limit 0 is not from 1 to 1000\n")
