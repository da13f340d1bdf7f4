"""Precomputing in both databases: earlier images get their jobs, chains that are removed leave nothing."""

import asyncio
import contextlib
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from imaging.looks import Look
from service_kit.errors import Unavailable
from service_kit.jobs import Outcome, Settlement
from service_kit.spool import Spool, Spooled
from service_kit.usage import ChainCount, UsageBatch
from storage_service import jobs as jobs_module
from storage_service import leases
from storage_service import precomputing as module
from storage_service import usage as usage_module
from storage_service import variants as variants_module
from storage_service.blobs import Blobs
from storage_service.jobs import Jobs
from storage_service.leases import Lease
from storage_service.levels import Levels
from storage_service.looks import Looks
from storage_service.metadata.base import MetadataStore
from storage_service.precomputed import Precomputed
from storage_service.precomputing import Precomputing
from storage_service.usage import Usage
from storage_service.variants import Variants
from tests.storage_service.test_metadata import add, record

CHAIN = "webp?thumb=300"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time of jobs in milliseconds, which tests may change."""
    now = [1_800_000_000_000]
    monkeypatch.setattr(jobs_module, "_now", lambda: now[0])
    return now


@pytest.fixture
def variants(store: MetadataStore, tmp_path: Path) -> Variants:
    blobs = Blobs(f"file://{tmp_path}/blobs")
    Spool(blobs.spool_folder).prepare()
    return Variants(store, blobs, 10**9)


@pytest.fixture
def precomputing(store: MetadataStore, variants: Variants) -> Precomputing:
    """With a look of all images, except in the test of that."""
    made = new(store, variants)
    made._looked_until = None
    return made


def new(store: MetadataStore, variants: Variants) -> Precomputing:
    """As in a process that starts."""
    jobs, usage = Jobs(store), Usage(store)
    looks, levels = Looks(store), Levels(store, Blobs("memory://"), 10**9)
    return Precomputing(
        store, Precomputed(store), variants, jobs, usage, looks=looks, levels=levels, cores=0.5, automatic=True
    )


async def done(jobs: Jobs, clock: list[int]) -> list[tuple[str, tuple[str, ...]]]:
    """Have all jobs done that become due within an hour: contents, and their chains."""
    found = []
    clock[0] += 3_600_000
    while job := await jobs.claim():
        found.append((job.sha256, job.chains))
        await jobs.settle(Settlement(job=job, outcome=Outcome.DONE))
    return found


async def test_earlier_images_get_jobs_in_parts_at_the_pace_of_the_setting(
    store: MetadataStore, precomputing: Precomputing, clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    images = [record(number) for number in range(8)]
    for image in images:
        await add(store, image)
    await Precomputed(store).add(CHAIN)
    assert await precomputing.step()
    due = await store.fetch("SELECT due_at FROM jobs ORDER BY due_at")
    assert [at - clock[0] for (at,) in due] == [0, 100, 200], "0.05 s each, by half a core"
    while await precomputing.step():
        pass
    assert [each.place for each in await Precomputed(store).all()] == [None]
    found = await done(Jobs(store), clock)
    assert sorted(found) == sorted((image.sha256, (CHAIN,)) for image in images)
    assert not await precomputing.step()
    assert await Jobs(store).waiting() == (0, None)


async def test_images_from_before_looks_were_kept_get_jobs_once(
    store: MetadataStore, variants: Variants, clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    images = [record(number) for number in range(8)]
    for image in images:
        await add(store, image)
    await Looks(store).keep(images[0].sha256, Look(colour=0, colours=0, thumbhash="", phash=None))
    await Jobs(store).add_later([images[1].sha256], 0)
    job = await Jobs(store).claim()
    assert job
    await Jobs(store).settle(Settlement(job=job, outcome=Outcome.FAILED, reason="decoding failed"))
    async with store.lock_content(images[2].sha256) as content:
        await content.mark_damaged(datetime.now(UTC))
    started = new(store, variants)
    while await started.step():
        pass
    expected = sorted(image.sha256 for image in images[3:])
    assert sorted(sha256 for sha256, _ in await done(Jobs(store), clock)) == expected
    # A node of a version without looks has done them. Another pass finds that.
    while await started.step():
        pass
    assert sorted(sha256 for sha256, _ in await done(Jobs(store), clock)) == expected
    for sha256 in expected:
        await Looks(store).keep(sha256, Look(colour=0, colours=0, thumbhash="", phash=None))
    while await started.step():
        pass
    await store.change("DELETE FROM looks")
    assert not await started.step(), "the last pass found that all have one"
    assert await Jobs(store).waiting() == (0, None)


async def test_a_backfill_that_was_killed_goes_on_where_it_was(
    store: MetadataStore, precomputing: Precomputing, clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    images = [record(number) for number in range(8)]
    for image in images:
        await add(store, image)
    precomputed = precomputing._precomputed
    await precomputed.add(CHAIN)
    real = precomputed.advance

    async def killed(*_: object) -> None:
        raise Unavailable("killed between the jobs and the note")

    for turn in range(20):
        monkeypatch.setattr(precomputed, "advance", killed if turn % 2 else real)
        with contextlib.suppress(Unavailable):
            await precomputing.step()
    found = await done(Jobs(store), clock)
    assert sorted(found) == sorted((image.sha256, (CHAIN,)) for image in images), "each once"


async def test_new_uploads_are_never_behind_a_long_backlog(
    store: MetadataStore, precomputing: Precomputing, clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    monkeypatch.setattr(module, "_MOST_WAITING", 2)
    for number in range(8):
        await add(store, record(number))
    await Precomputed(store).add(CHAIN)
    while await precomputing.step():
        pass
    assert (await Jobs(store).waiting())[0] == 3
    assert len(await done(Jobs(store), clock)) == 3
    assert await precomputing.step()


async def test_the_variants_of_a_chain_that_is_removed_go(
    store: MetadataStore, precomputing: Precomputing, variants: Variants, tmp_path: Path
) -> None:
    precomputed = Precomputed(store)
    await precomputed.add(CHAIN)
    for number in range(3):
        image = record(number)
        await add(store, image)
        for chain in (CHAIN, "jpg?thumb=9"):
            path = variants._blobs.spool_folder / "new"
            path.write_bytes(f"{number} {chain}".encode())
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            await variants.keep(image, digest, Spooled(path, path.stat().st_size, digest), chain)
    assert await precomputed.remove(CHAIN)
    assert not await precomputed.remove(CHAIN)
    assert await precomputed.chains() == ()
    while await precomputing.step():
        pass
    assert await precomputed.all() == []
    left = await store.fetch("SELECT about FROM variants")
    assert {row[0] for row in left} == {"jpg?thumb=9"}
    assert len([path for path in (tmp_path / "blobs" / "variants").rglob("*") if path.is_file()]) == 3


async def test_another_version_of_the_encoder_gives_all_images_their_jobs_again(
    store: MetadataStore,
    precomputing: Precomputing,
    variants: Variants,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = record(1)
    await add(store, image)
    await Precomputed(store).add(CHAIN)
    while await precomputing.step():
        pass
    await Jobs(store).forget(image.sha256)
    path = variants._blobs.spool_folder / "new"
    path.write_bytes(b"variant")
    digest = hashlib.sha256(b"variant").hexdigest()
    await variants.keep(image, digest, Spooled(path, 7, digest), CHAIN)
    monkeypatch.setattr(variants_module, "VERSION", 99)
    while await precomputing.step():
        pass
    assert (await Jobs(store).waiting())[0] == 1
    await variants.sweep(timedelta(hours=1))
    assert await store.fetch("SELECT name FROM variants") == []
    folder = variants._blobs.spool_folder.parent / "variants"
    assert not [file for file in folder.rglob("*") if file.is_file()]


async def test_earlier_images_wait_while_storage_is_full(
    store: MetadataStore, precomputing: Precomputing, variants: Variants
) -> None:
    await add(store, record(1))
    await Precomputed(store).add(CHAIN)
    await store.change(
        "INSERT INTO variants (sha256, name, version, bytes, digest, about, used_at) VALUES ('', '', 0, $1, '', '', 0)",
        variants.limit,
    )
    assert not await precomputing.step()
    assert (await Jobs(store).waiting())[0] == 0
    await store.change("DELETE FROM variants")
    assert await precomputing.step()


async def test_one_process_at_a_time_has_a_lease(store: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000]
    monkeypatch.setattr(leases.time, "time", lambda: now[0])
    first, second = Lease(store, "x", 60), Lease(store, "x", 60)
    assert [await first.take(), await second.take(), await first.take()] == [True, False, True]
    now[0] += 61
    assert [await second.take(), await first.take()] == [True, False]
    await first.release()
    assert not await first.take(), "it was not its own"
    await second.release()
    assert await first.take()


async def test_a_lease_is_renewed_during_long_work(store: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_800_000_000.0]
    monkeypatch.setattr(leases.time, "time", lambda: now[0])
    monkeypatch.setattr(leases, "_RENEWALS", 60_000)  # each millisecond
    first, second = Lease(store, "x", 60), Lease(store, "x", 60)
    assert await first.take()

    async def until() -> int:
        ((moment,),) = await store.fetch("SELECT until FROM leases WHERE name = 'x'")
        return int(moment)

    async with first.renewed():
        for _ in range(3):
            now[0] += 50
            async with asyncio.timeout(10):
                while await until() < now[0] + 60:
                    await asyncio.sleep(0.001)
            assert not await second.take()
    now[0] += 61
    assert await second.take(), "it is not renewed afterwards"


async def test_the_service_does_not_take_over_what_an_operator_adds(store: MetadataStore) -> None:
    precomputed = Precomputed(store)
    await precomputed.add(CHAIN)
    await precomputed.add(CHAIN, automatic=True)
    assert [each.automatic for each in await precomputed.all()] == [False]


async def test_a_chain_that_is_added_again_while_it_is_removed_stays(
    store: MetadataStore, precomputing: Precomputing
) -> None:
    precomputed = Precomputed(store)
    await precomputed.add(CHAIN)
    await precomputed.remove(CHAIN)
    await precomputed.add(CHAIN)
    while await precomputing.step():
        pass
    assert await precomputed.chains() == (CHAIN,)


async def test_automatic_mode_adopts_what_is_worth_it_and_drops_it_a_day_later(
    store: MetadataStore, precomputing: Precomputing, monkeypatch: pytest.MonkeyPatch
) -> None:

    now = [1_800_000_000.0]
    monkeypatch.setattr(usage_module, "_now", lambda: now[0])
    for number in range(5):
        await add(store, record(number))
    precomputed, usage = Precomputed(store), Usage(store)
    await precomputed.add("jpg?thumb=1")
    await precomputing.decide()
    assert await precomputed.chains() == ("jpg?thumb=1",)
    row = {"chain": CHAIN, "outcome": "level", "requests": 1000, "milliseconds": 5000.0, "bytes": 10**6}
    await usage.add(UsageBatch(id="a" * 32, chains=[ChainCount(**row)], images=[]))
    for _ in range(2):
        assert await precomputed.chains() == ("jpg?thumb=1",), "no crawler decides"
        now[0] += 601
        await precomputing.decide()
    assert [(each.chain, each.automatic) for each in await precomputed.all()] == [("jpg?thumb=1", False), (CHAIN, True)]
    now[0] += 12 * 3600
    await precomputing.decide()
    assert CHAIN in await precomputed.chains(), "a night without requests"
    now[0] += 20 * 3600
    await precomputing.decide()
    assert await precomputed.chains() == ("jpg?thumb=1",), "what an operator added stays"
