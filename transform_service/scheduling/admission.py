"""Admission: which render may start now, so that estimated memory fits and small renders never wait for heavy ones.

There are two lanes. Each is first come, first served, except that cheap renders overtake some expensive ones. At most
`slots` heavy renders run at once, and one render more in total. So there is always room for a small one, and no core
waits for its next job. A heavy render starts only if it fits into the memory budget together with all others. A render
that could not start soon enough is refused at once, with the time after which to retry.

Work for which nobody waits is idle: one such job at a time starts when no render waits, and a slot and memory are free.
It is stopped if a render needs its memory.
"""

import asyncio
import itertools
import math
import time
from bisect import insort
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from service_kit.errors import Unavailable
from transform_service.metrics import MEMORY, MEMORY_LIMIT, QUEUE, REFUSALS, RUNNING
from transform_service.planning.plan import Cost

_OVERTAKEN_BY, _EXPENSIVE_SECONDS = 50, 0.1
"""At most this many later and cheaper renders overtake one that takes this many seconds. Fewer overtake a shorter one.
Without this, a dozen thumbnails of 40 MP photos, which are small renders, would delay a thumbnail of a 0.5 MP photo by
twenty times its own time."""
_LEARNING = 0.05
"""The weight of one render in the estimate of this machine's speed."""
_FAR_OFF = 10.0
"""A single render counts as at most this many times slower or faster than estimated."""
_NEVER_SECONDS = 3600


class Refused(Unavailable):
    """The queue is full, the wait would be too long, or the render needs more memory than there is."""

    def __init__(self, detail: str, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = max(1, math.ceil(retry_after))


class Preempted(Unavailable):
    """A render needed the memory of an idle job."""


@dataclass(eq=False, slots=True)
class _Job:
    cost: Cost
    number: int
    """In the order of arrival."""
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    preempt: Callable[[], None] | None = None
    """Stops an idle job."""

    @property
    def place(self) -> float:
        """Where it is in its lane: the lowest goes first."""
        return self.number + _OVERTAKEN_BY * min(1.0, self.cost.seconds / _EXPENSIVE_SECONDS)


class Admission:
    """The gate in front of the renderers."""

    def __init__(self, *, slots: int, memory: int, queue: int, seconds: float) -> None:
        """`memory` is in bytes. At most `queue` jobs wait in a lane, and none for longer than `seconds`."""
        self._slots = slots
        self._memory = memory
        self._queue = queue
        self._seconds = seconds
        self._lanes: dict[bool, list[_Job]] = {False: [], True: []}
        self._running: set[_Job] = set()
        self._idle: deque[_Job] = deque()
        self._idling: _Job | None = None
        self._numbers = itertools.count()
        self.pace = 1.0
        """How many times longer renders take here than estimated. Learned from each render."""

    @property
    def waiting(self) -> int:
        """The number of waiting jobs, in both lanes."""
        return sum(len(lane) for lane in self._lanes.values())

    def fits(self, cost: Cost) -> bool:
        """Whether a job with this cost can ever start."""
        return cost.bytes <= self._memory

    def observe(self) -> None:
        """Update the gauges."""
        for heavy, lane in self._lanes.items():
            name = "heavy" if heavy else "small"
            QUEUE.labels(name).set(len(lane))
            RUNNING.labels(name).set(sum(job.cost.heavy is heavy for job in self._running))
        MEMORY.set(self._held() + (self._idling.cost.bytes if self._idling else 0))
        MEMORY_LIMIT.set(self._memory)

    @asynccontextmanager
    async def admitted(self, cost: Cost) -> AsyncIterator[None]:
        """Wait for a turn. Inside the context, a renderer is free. Raises Refused at once if waiting is pointless."""
        self._check(cost)
        job = _Job(cost, next(self._numbers))
        insort(self._lanes[cost.heavy], job, key=lambda other: other.place)
        self._start_more()
        try:
            await job.turn
            started = time.perf_counter()
            try:
                yield
            except BaseException:  # it failed or was cancelled: learn only that it takes longer than estimated
                spent = time.perf_counter() - started
                if spent > cost.seconds * self.pace:
                    self._learn(cost, spent)
                raise
            self._learn(cost, time.perf_counter() - started)
        finally:
            if job in self._running:
                self._running.remove(job)
            else:
                self._lanes[cost.heavy].remove(job)
            self._start_more()

    @asynccontextmanager
    async def idle(self, cost: Cost) -> AsyncIterator[None]:
        """Wait, for however long, until nobody else needs what this job needs.

        Raises Preempted inside the context when a render needs its memory.
        """
        job = _Job(cost, next(self._numbers))
        self._idle.append(job)
        self._start_more()
        try:
            await job.turn
            async with self._until_preempted(job):
                yield
        finally:
            if self._idling is job:
                self._idling = None
            elif job in self._idle:
                self._idle.remove(job)
            self._start_more()

    @asynccontextmanager
    async def _until_preempted(self, job: _Job) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(None) as limit:
                job.preempt = lambda: limit.reschedule(0)
                if self._idling is not job:
                    job.preempt()
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise Preempted("a render needs the memory") from error

    def _check(self, cost: Cost) -> None:
        if not self.fits(cost):
            REFUSALS.labels("memory").inc()
            raise Refused(
                f"rendering needs about {_mebibytes(cost.bytes)} MiB of memory, and the limit is"
                f" {_mebibytes(self._memory)} MiB; simplify the chain",
                _NEVER_SECONDS,
            )
        wait = self._wait(heavy=cost.heavy)
        waiting = len(self._lanes[cost.heavy])
        if waiting >= self._queue or wait > self._seconds:
            REFUSALS.labels("full" if waiting >= self._queue else "slow").inc()
            raise Refused(f"too many renders are waiting ({waiting}, for about {wait:.1f} s); retry later", wait)

    def _wait(self, *, heavy: bool) -> float:
        """The estimated wait of a new job, in seconds. Heavy renders wait for all jobs that came before."""
        if not self._lanes[heavy]:
            return 0.0
        before = itertools.chain(self._lanes[heavy], self._lanes[False] if heavy else (), self._running)
        return sum(job.cost.seconds for job in before) * self.pace / self._slots

    def _start_more(self) -> None:
        while job := self._next():
            self._lanes[job.cost.heavy].remove(job)
            self._running.add(job)
            job.turn.set_result(None)
            self._make_room()
        if self._idling is None and (waiting := self._next_idle()):
            self._idle.remove(waiting)
            self._idling = waiting
            waiting.turn.set_result(None)

    def _make_room(self) -> None:
        """Stop the idle job if it no longer fits in memory alongside the renders."""
        job = self._idling
        if job and self._held() + job.cost.bytes > self._memory:
            self._idling = None
            if job.preempt:
                job.preempt()

    def _next_idle(self) -> _Job | None:
        """The first idle job that fits alongside the renders, if no render waits and a slot is free."""
        if self.waiting or len(self._running) >= self._slots:
            return None
        room = self._memory - self._held()
        return next((job for job in self._idle if job.cost.bytes <= room and not job.turn.done()), None)

    def _held(self) -> int:
        """The estimated memory of the renders in progress."""
        return sum(job.cost.bytes for job in self._running)

    def _next(self) -> _Job | None:
        """Of the first job in each lane, the one that came first and can start now; None if neither can."""
        heads = [lane[0] for lane in self._lanes.values() if lane]
        # A turn that is done was cancelled: the job is about to leave its lane.
        able = [job for job in heads if self._fits(job.cost) and not job.turn.done()]
        return min(able, key=lambda job: job.number, default=None)

    def _fits(self, cost: Cost) -> bool:
        if len(self._running) > self._slots:
            return False
        heavy = [job for job in self._running if job.cost.heavy]
        if not cost.heavy or not heavy:
            return True
        return len(heavy) < self._slots and self._held() + cost.bytes <= self._memory

    def _learn(self, cost: Cost, seconds: float) -> None:
        seen = min(_FAR_OFF, max(1 / _FAR_OFF, seconds / cost.seconds))
        self.pace += _LEARNING * (seen - self.pace)


def _mebibytes(count: int) -> int:
    return round(count / 1024**2)
