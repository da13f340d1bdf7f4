"""The dispatcher: claims jobs, has them done, and notes how they ended."""

import asyncio
import contextlib
import logging
import time

from jobs_service.metrics import PAUSED
from service_kit.errors import Gone, InsufficientStorage, ServiceError, Unavailable, UnprocessableImage
from service_kit.jobs import Job, JobQueue, JobRunner, Outcome, Settlement

_POLL, _PAUSE = 1.0, 2.0
"""Seconds until the next look into an empty queue, and after the queue or the runner did not respond."""
_FULL_PAUSE = 60.0
"""Seconds without jobs after there was no room for a result."""
_GIVE_BACK_SECONDS = 2.0
_OUTCOMES = (
    (Gone, Outcome.LATER),
    (UnprocessableImage, Outcome.FAILED),
    (InsufficientStorage, Outcome.LATER),
    (Unavailable, Outcome.LATER),
    (ServiceError, Outcome.RETRY),
)
"""What the errors of a runner mean; see JobRunner."""

logger = logging.getLogger(__name__)


class Dispatcher:
    """Has jobs done, `at_once` at a time. Several dispatchers may use one queue."""

    def __init__(self, queue: JobQueue, runner: JobRunner, at_once: int) -> None:
        self._queue = queue
        self._runner = runner
        self._at_once = at_once
        self._full_until = 0.0

    async def run(self) -> None:
        """Work for ever. A cancelled call gives its jobs back."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._until_there_is_room()
            try:
                pause = await self._next()
            except ServiceError as error:
                logger.warning("jobs are delayed: %s", error)
                pause = _PAUSE
            except Exception:
                logger.exception("jobs are delayed")  # go on: otherwise no job would be done until a restart
                pause = _PAUSE
            await asyncio.sleep(pause)

    async def _until_there_is_room(self) -> None:
        while (pause := self._full_until - time.monotonic()) > 0:
            PAUSED.set(1)
            await asyncio.sleep(pause)
        PAUSED.set(0)

    async def _next(self) -> float:
        """Do the next job. Returns how many seconds to pause."""
        job = await self._queue.claim()
        if job is None:
            return _POLL
        settlement = await self._done(job)
        await self._queue.settle(settlement)
        return _PAUSE if settlement.outcome is Outcome.LATER else 0

    async def _done(self, job: Job) -> Settlement:
        try:
            outcome, reason = await self._tried(job)
        except asyncio.CancelledError:
            with contextlib.suppress(ServiceError, TimeoutError):
                async with asyncio.timeout(_GIVE_BACK_SECONDS):
                    await self._queue.settle(Settlement(job=job, outcome=Outcome.LATER))
            raise
        return Settlement(job=job, outcome=outcome, reason=reason)

    async def _tried(self, job: Job) -> tuple[Outcome, str]:
        try:
            await self._runner.run(job)
        except ServiceError as error:
            outcome = next(outcome for kind, outcome in _OUTCOMES if isinstance(error, kind))
            if isinstance(error, InsufficientStorage):
                self._pause(error)
            if outcome is not Outcome.LATER:
                logger.warning("the job %s of image %s: %s: %s", job.kind, job.image_id, outcome, error)
            return outcome, error.detail
        except Exception as error:
            logger.exception("the job %s of image %s failed", job.kind, job.image_id)
            return Outcome.RETRY, f"a bug: {type(error).__name__}"
        return Outcome.DONE, ""

    def _pause(self, error: InsufficientStorage) -> None:
        logger.warning("jobs pause for %g s: %s", _FULL_PAUSE, error)
        self._full_until = time.monotonic() + _FULL_PAUSE
