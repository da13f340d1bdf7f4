"""The queue of jobs, in both databases."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service_kit.errors import Unavailable
from service_kit.jobs import DERIVE, Job, Outcome, Settlement
from storage_service import jobs as jobs_module
from storage_service.jobs import Jobs, job_for_upload
from storage_service.metadata.base import DatabaseConfig, MetadataStore, create_store
from storage_service.search import Filters, search
from tests import pictures
from tests.servers import ROOT
from tests.storage_service.conftest import Storage
from tests.storage_service.test_metadata import record


@pytest.fixture
def jobs(store: MetadataStore) -> Jobs:
    return Jobs(store)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time in milliseconds, which tests may change."""
    now = [1_800_000_000_000]
    monkeypatch.setattr(jobs_module, "_now", lambda: now[0])
    return now


async def add(store: MetadataStore, *numbers: int) -> list[str]:
    """Upload images, each with a job."""
    images = []
    for number in numbers:
        image = record(number, created_at=datetime.fromtimestamp(jobs_module._now() / 1000, UTC))
        async with store.lock_content(image.sha256) as content:
            await content.add(image, None, [job_for_upload(image.sha256, image.created_at)])
        images.append(image.image_id)
    return images


async def claimed(jobs: Jobs) -> Job:
    job = await jobs.claim()
    assert job
    return job


async def settle(jobs: Jobs, job: Job, outcome: Outcome, reason: str = "") -> None:
    await jobs.settle(Settlement(job=job, outcome=outcome, reason=reason))


async def test_jobs_are_claimed_once_in_the_order_of_their_uploads(
    store: MetadataStore, jobs: Jobs, clock: list[int]
) -> None:
    images = []
    for number in range(3):
        clock[0] += 1
        images += await add(store, number)
    found = [await claimed(jobs) for _ in images]
    assert [job.image_id for job in found] == images
    assert {job.kind for job in found} == {DERIVE}
    assert await jobs.claim() is None
    for job in found:
        await settle(jobs, job, Outcome.DONE)
    clock[0] += 10**9
    assert await jobs.claim() is None
    assert await jobs.waiting() == (0, None)


async def test_many_dispatchers_never_get_the_same_job(store: MetadataStore) -> None:
    images = await add(store, *range(8))
    found: list[Job] = []

    async def dispatcher() -> None:
        while job := await Jobs(store).claim():
            found.append(job)

    for _ in range(8):  # those that come too late for all that they have seen look again
        await asyncio.gather(*(dispatcher() for _ in range(8)))
    assert sorted(job.image_id for job in found) == sorted(images)


async def test_the_same_bytes_are_one_job(store: MetadataStore, jobs: Jobs) -> None:
    images = await add(store, 1, 1)
    assert (await claimed(jobs)).image_id in images
    assert await jobs.claim() is None


async def test_a_job_whose_dispatcher_has_died_is_due_again(store: MetadataStore, jobs: Jobs, clock: list[int]) -> None:
    await add(store, 1)
    first = await claimed(jobs)
    clock[0] += jobs_module._CLAIM_MS
    second = await claimed(jobs)
    assert second.image_id == first.image_id
    await settle(jobs, first, Outcome.DONE)  # too late: it was claimed again
    assert (await jobs.waiting())[0] == 1
    await settle(jobs, second, Outcome.DONE)
    assert (await jobs.waiting())[0] == 0


async def test_a_job_that_ends_its_dispatcher_each_time_fails(
    store: MetadataStore, jobs: Jobs, clock: list[int]
) -> None:
    await add(store, 1)
    for _ in range(jobs_module._MOST_ATTEMPTS):
        await claimed(jobs)
        clock[0] += jobs_module._CLAIM_MS
    assert await jobs.claim() is None
    ((kind, sha256, _, reason),) = await jobs.failed(10)
    assert (kind, sha256, "ended before it was done" in reason) == (DERIVE, record(1).sha256, True)


async def test_a_job_that_fails_is_tried_ever_less_often_and_then_given_up(
    store: MetadataStore, jobs: Jobs, clock: list[int]
) -> None:
    await add(store, 1)
    pauses = []
    for _ in range(jobs_module._MOST_ATTEMPTS):
        began = clock[0]
        while (job := await jobs.claim()) is None:
            clock[0] += 5000
        pauses.append(clock[0] - began)
        await settle(jobs, job, Outcome.RETRY, "no answer")
    assert pauses == [0, 5000, 15_000, 45_000, 135_000, 405_000, 1_215_000, 3_600_000]
    assert [row[3] for row in await jobs.failed(10)] == ["no answer"]
    assert await jobs.retry_failed() == 1
    assert await jobs.failed(10) == []
    await settle(jobs, await claimed(jobs), Outcome.DONE)


async def test_a_job_for_which_nobody_was_free_is_not_an_attempt(
    store: MetadataStore, jobs: Jobs, clock: list[int]
) -> None:
    await add(store, 1)
    for _ in range(3 * jobs_module._MOST_ATTEMPTS):
        await settle(jobs, await claimed(jobs), Outcome.LATER)
        clock[0] += jobs_module._LATER_MS
    assert await jobs.number_failed() == 0
    await settle(jobs, await claimed(jobs), Outcome.FAILED, "it is corrupt" * 1000)
    assert [len(row[3]) for row in await jobs.failed(10)] == [500]


async def test_jobs_of_deleted_images_disappear(store: MetadataStore, jobs: Jobs) -> None:
    (image,) = await add(store, 1)
    now = record().created_at
    await store.mark_deleted(image, now, now + timedelta(hours=1))
    assert await jobs.claim() is None
    assert (await jobs.waiting())[0] == 0


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.FAILED])
async def test_bytes_that_are_uploaded_again_have_a_job_again(
    store: MetadataStore, jobs: Jobs, clock: list[int], outcome: Outcome
) -> None:
    (first,) = await add(store, 1)
    job = await claimed(jobs)
    now = record().created_at
    if outcome is Outcome.FAILED:
        await settle(jobs, job, outcome, "it is corrupt")
    await store.mark_deleted(first, now, now + timedelta(hours=1))
    clock[0] += 1
    (second,) = await add(store, 1)
    await settle(jobs, job, Outcome.DONE)  # of the image that was deleted
    assert (await claimed(jobs)).image_id == second
    assert await jobs.number_failed() == 0


async def test_nothing_is_left_of_deleted_images(store: MetadataStore, jobs: Jobs) -> None:
    images = await add(store, 1, 2)
    for _ in images:
        await settle(jobs, await claimed(jobs), Outcome.FAILED, "it is corrupt")
    await jobs.forget(record(1).sha256)
    assert await jobs.number_failed() == 1
    now = record().created_at
    await store.mark_deleted(images[1], now, now)
    await jobs.sweep()
    assert await jobs.number_failed() == 0


async def test_the_age_of_a_backlog_is_that_of_the_first_job_that_was_not_tried(
    store: MetadataStore, jobs: Jobs, clock: list[int]
) -> None:
    began = clock[0]
    await add(store, 1, 2)
    tried = await claimed(jobs)
    await settle(jobs, tried, Outcome.RETRY, "no answer")
    for _ in range(3):
        clock[0] += jobs_module._LATER_MS
        await settle(jobs, await claimed(jobs), Outcome.LATER)
    assert await jobs.waiting() == (2, began)
    clock[0] += jobs_module._LATER_MS
    await settle(jobs, await claimed(jobs), Outcome.DONE)
    assert await jobs.waiting() == (1, None)


async def test_an_upload_and_its_job_are_one_transaction(store: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "_ADD", "INSERT INTO jobs (kind, sha256, due_at) VALUES ($1, $2, $3)")
    with pytest.raises(Unavailable):  # an attempt count is missing
        await add(store, 1)
    assert not (await search(store, Filters(), 10, None)).images


async def test_uploads_add_jobs(storage: Storage) -> None:
    image_id = await storage.upload(pictures.jpeg())
    async with storage.http.post(f"{storage.url}/internal/jobs/claim") as response:
        assert response.status == 200
        job = Job.model_validate_json(await response.read())
    assert job.image_id == image_id
    async with storage.http.post(f"{storage.url}/internal/jobs/claim") as response:
        assert response.status == 204
    settlement = Settlement(job=job, outcome=Outcome.FAILED, reason="it is corrupt")
    async with storage.http.post(
        f"{storage.url}/internal/jobs/settle", json=settlement.model_dump(mode="json")
    ) as response:
        assert response.status == 204
    async with storage.http.post(f"{storage.url}/internal/jobs/settle", json={"job": 1}) as response:
        assert response.status == 400


async def test_the_command_lists_failures_and_retries_them(tmp_path: Path) -> None:
    store = create_store(DatabaseConfig(f"sqlite:///{tmp_path}/images.sqlite3", None, 5))
    await store.open()
    jobs = Jobs(store)
    (image, _) = await add(store, 1, 2)
    await settle(jobs, await claimed(jobs), Outcome.FAILED, "it is corrupt")

    async def said(*arguments: str) -> str:
        command = [sys.executable, "-m", "imgsvc", "jobs", *arguments]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env={"DATA_DIR": str(tmp_path), "PATH": ""}, stdout=subprocess.PIPE
        )
        text, _ = await process.communicate()
        assert process.returncode == 0
        return text.decode()

    text = await said("status")
    assert text.startswith("1 waiting, 1 failed\nKIND    IMAGE")
    assert f"derive  {image}" in text
    assert "it is corrupt" in text
    found = json.loads(await said("status", "--json"))
    assert (found["waiting"], found["failed"], found["failures"][0]["image_ids"]) == (1, 1, [image])
    assert await said("retry") == "1 jobs will be tried again\n"
    assert (await said("status")) == "2 waiting, 0 failed\n"
    await store.close()
