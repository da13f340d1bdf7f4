"""The queue of jobs, in the database. See JobQueue."""

import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from service_kit.errors import InsufficientStorage
from service_kit.jobs import DERIVE, Job, Outcome, Settlement
from storage_service.events import Events, EventType
from storage_service.metadata.base import MetadataStore, Statement
from storage_service.metrics import JOBS, JOBS_FAILED, JOBS_OLDEST, JOBS_WAITING
from storage_service.precomputed import Precomputed

_CLAIM_MS = 60_000
"""After that, a claimed job is due again: whoever had claimed it is gone. A dispatcher waits less for a runner."""
_LATER_MS = 1000
_FIRST_PAUSE_MS, _LONGEST_PAUSE_MS = 5000, 3_600_000
_MOST_ATTEMPTS = 8
"""The last one is two hours after the first."""
_LONGEST_REASON = 500
_TOLD = 100
"""Images with the same content about which there are events: this bounds a transaction. Each gets one event."""
_TRIED_AT_ONCE = 8
"""Several dispatchers may want the same job. Those that come too late try the next one."""
_ADD = """
    INSERT INTO jobs (kind, sha256, added_at, due_at, attempts, reason) VALUES ($1, $2, $3, $4, 0, '')
    ON CONFLICT (kind, sha256) DO UPDATE SET due_at = excluded.due_at, attempts = 0, failed_at = NULL, reason = '',
        added_at = CASE WHEN jobs.added_at < excluded.added_at THEN jobs.added_at ELSE excluded.added_at END
"""
"""Bytes may be uploaded again after their last image was deleted, while the job is in progress, or has failed."""
_ADD_LATER = """
    INSERT INTO jobs (kind, sha256, added_at, due_at, attempts, reason) VALUES ($1, $2, $3, $4, 0, '')
    ON CONFLICT (kind, sha256) DO UPDATE SET attempts = 0, failed_at = NULL, reason = '', due_at =
        CASE WHEN jobs.attempts = 0 AND jobs.failed_at IS NULL AND jobs.due_at < excluded.due_at
        THEN jobs.due_at ELSE excluded.due_at END
"""
"""One that waits keeps its place. One that is in progress, which may not know a new chain, is done again."""
_LAST_DUE = "SELECT max(due_at) FROM jobs WHERE attempts = 0 AND failed_at IS NULL"
_DUE = """
    SELECT kind, sha256, due_at, attempts FROM jobs WHERE failed_at IS NULL AND due_at <= $1 ORDER BY due_at LIMIT $2
"""
_THIS = "kind = $1 AND sha256 = $2 AND due_at = $3 AND failed_at IS NULL"
_CLAIM = f"UPDATE jobs SET due_at = $4, attempts = attempts + 1 WHERE {_THIS}"  # noqa: S608
_FINISH = f"DELETE FROM jobs WHERE {_THIS}"  # noqa: S608
_LATER = f"UPDATE jobs SET due_at = $4, attempts = attempts - 1 WHERE {_THIS}"  # noqa: S608
_RETRY = f"UPDATE jobs SET due_at = $4, reason = $5 WHERE {_THIS}"  # noqa: S608
_FAIL = f"UPDATE jobs SET failed_at = $4, reason = $5 WHERE {_THIS}"  # noqa: S608
_NEW_IMAGES = """
    SELECT image_id FROM images WHERE sha256 = $1 AND deleted_at IS NULL AND created_at >= $2
    ORDER BY created_at, image_id LIMIT $3
"""
_FORGET_UNUSED = """
    DELETE FROM jobs WHERE NOT EXISTS (
        SELECT 1 FROM images WHERE images.sha256 = jobs.sha256 AND deleted_at IS NULL
    )
"""


def job_for_upload(sha256: str, created_at: datetime) -> tuple[object, ...]:
    """The statement that adds the job to make what is derived from a content, unless there is one, and its values.

    The job was added when its first image was created, by the clock of the same node.
    """
    return (_ADD, DERIVE, sha256, int(created_at.timestamp() * 1000), _now())


class Jobs:
    """The queue. Any number of processes may use it at once."""

    def __init__(self, metadata: MetadataStore, events: Events | None = None) -> None:
        self._metadata = metadata
        self._events = events
        self._precomputed = Precomputed(metadata)

    async def claim(self) -> Job | None:
        """See JobQueue."""
        now = _now()
        for kind, sha256, due_at, attempts in await self._metadata.fetch(_DUE, now, _TRIED_AT_ONCE):
            claim = now + _CLAIM_MS
            if not await self._metadata.change(_CLAIM, kind, sha256, due_at, claim):
                continue
            images = await self._metadata.images_with(sha256, 1)
            if not images:
                await self._metadata.change(_FINISH, kind, sha256, claim)
                continue
            chains = await self._precomputed.chains()
            job = Job(kind=kind, sha256=sha256, image_id=images[0], chains=chains, claim=claim)
            if attempts < _MOST_ATTEMPTS:
                return job
            await self._fail(job, "each dispatcher that worked on it ended before it was done")
        return None

    async def settle(self, settlement: Settlement) -> None:
        """See JobQueue."""
        job, reason = settlement.job, settlement.reason[:_LONGEST_REASON]
        this = (job.kind, job.sha256, job.claim)
        JOBS.labels(settlement.outcome).inc()
        match settlement.outcome:
            case Outcome.DONE:
                await self._metadata.change_together((_FINISH, *this), *await self._events_about(job))
                if self._events:
                    self._events.added()
            case Outcome.LATER:
                await self._metadata.change(_LATER, *this, _now() + _LATER_MS)
            case Outcome.RETRY:
                await self._retry(job, reason)
            case Outcome.FAILED:
                await self._fail(job, reason)

    async def _events_about(self, job: Job) -> list[Statement]:
        """For each image that was created since the job was added. Others were told about, or were there before."""
        if not self._events or not await self._events.are_wanted():
            return []
        chains = [*job.chains]
        return [
            statement
            for image_id in await self._new_images(job)
            if (record := await self._metadata.find(image_id))
            for statement in await self._events.about(EventType.PRECOMPUTED, record, chains=chains)
        ]

    async def _new_images(self, job: Job) -> list[str]:
        query = f"SELECT added_at FROM jobs WHERE {_THIS}"  # noqa: S608
        for (added_at,) in await self._metadata.fetch(query, job.kind, job.sha256, job.claim):
            since = datetime.fromtimestamp(added_at / 1000, UTC)
            return [row[0] for row in await self._metadata.fetch(_NEW_IMAGES, job.sha256, since, _TOLD)]
        return []

    async def _retry(self, job: Job, reason: str) -> None:
        query = f"SELECT attempts FROM jobs WHERE {_THIS}"  # noqa: S608
        for (attempts,) in await self._metadata.fetch(query, job.kind, job.sha256, job.claim):
            if attempts >= _MOST_ATTEMPTS:
                await self._fail(job, reason)
                return
            pause = min(_FIRST_PAUSE_MS * 3 ** (attempts - 1), _LONGEST_PAUSE_MS)
            await self._metadata.change(_RETRY, job.kind, job.sha256, job.claim, _now() + pause, reason)

    async def _fail(self, job: Job, reason: str) -> None:
        await self._metadata.change(_FAIL, job.kind, job.sha256, job.claim, _now(), reason)

    async def add_later(self, sha256s: Sequence[str], pause: float) -> None:
        """Add jobs for contents, each `pause` seconds after the one before, and after all that nobody has tried."""
        ((last,),) = await self._metadata.fetch(_LAST_DUE)
        due_at = max(_now(), int(last or 0))
        for number, sha256 in enumerate(sha256s):
            await self._metadata.change(_ADD_LATER, DERIVE, sha256, _now(), due_at + int(number * pause * 1000))

    async def forget(self, sha256: str) -> None:
        """Remove all jobs for a content."""
        await self._metadata.change("DELETE FROM jobs WHERE sha256 = $1", sha256)

    async def sweep(self) -> None:
        """Remove jobs for contents that no image has."""
        with contextlib.suppress(InsufficientStorage):
            await self._metadata.change(_FORGET_UNUSED)

    async def observe(self) -> None:
        """Update the gauges."""
        waiting, oldest = await self.waiting()
        JOBS_WAITING.set(waiting)
        JOBS_OLDEST.set(max(0.0, (_now() - oldest) / 1000) if oldest else 0)
        JOBS_FAILED.set(await self.number_failed())

    async def waiting(self) -> tuple[int, int | None]:
        """The number of jobs that have not failed, and when the first that was not tried was added (milliseconds)."""
        query = """
            SELECT count(*), min(CASE WHEN attempts = 0 THEN added_at END) FROM jobs WHERE failed_at IS NULL
        """
        ((number, first),) = await self._metadata.fetch(query)
        return number, first

    async def number_failed(self) -> int:
        """The number of jobs that have failed for good."""
        ((number,),) = await self._metadata.fetch("SELECT count(*) FROM jobs WHERE failed_at IS NOT NULL")
        return int(number)

    async def failed(self, limit: int) -> list[tuple[str, str, int, str]]:
        """At most `limit` jobs that have failed for good, newest first: kind, content, when (milliseconds), reason."""
        query = """
            SELECT kind, sha256, failed_at, reason FROM jobs WHERE failed_at IS NOT NULL
            ORDER BY failed_at DESC, sha256 LIMIT $1
        """
        return [(row[0], row[1], row[2], row[3]) for row in await self._metadata.fetch(query, limit)]

    async def retry_failed(self) -> int:
        """Make all jobs that have failed due again. Returns their number."""
        again = "UPDATE jobs SET failed_at = NULL, attempts = 0, due_at = $1 WHERE failed_at IS NOT NULL"
        return await self._metadata.change(again, _now())


def _now() -> int:
    return time.time_ns() // 1_000_000
