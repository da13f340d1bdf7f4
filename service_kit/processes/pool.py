"""A fixed number of worker processes behind a bounded queue. A worker that ends is replaced."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from service_kit.errors import CannotStart, ServiceError, Unavailable
from service_kit.processes.worker import Setup, Task, Worker

T = TypeVar("T")
End = Literal["crash", "memory", "killed", "stopped", "recycled"]
"""How a worker ended: by its own fault, over its memory limit, by a signal from outside, with a cancelled job, or after
`max_jobs`."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
"""Seconds between attempts to start a worker. The first pause is short, so that one failed start costs little."""

logger = logging.getLogger(__name__)


class DeadlinePassed(Unavailable):
    """The job took longer than allowed, and its process was killed. It had waited for `queued` seconds."""

    def __init__(self, detail: str, queued: float = 0.0) -> None:
        super().__init__(detail)
        self.queued = queued


class QueueFull(Unavailable):
    """The queue is full."""


class WorkerPool:
    """A fixed number of workers behind a bounded queue."""

    def __init__(
        self, size: int, *, setup: Setup, queue: int, max_jobs: int = 1000, on_end: Callable[[End], None] | None = None
    ) -> None:
        """At most `queue` jobs wait. A worker is replaced after `max_jobs`. `on_end` is called when one has ended."""
        self._size = size
        self._setup = setup
        self._queue = queue
        self._max_jobs = max_jobs
        self._on_end = on_end or _ignore
        self._ends: dict[Worker, End] = {}
        """Why this pool killed a worker that it has not replaced yet."""
        self._workers: set[Worker] = set()
        self._idle: deque[Worker] = deque()
        self._waiting: deque[asyncio.Future[Worker]] = deque()
        self._background: set[asyncio.Task[None]] = set()
        self._closing = False

    async def start(self) -> None:
        """Start all workers.

        Raises WorkerDied, TimeoutError or OSError if one does not start, and CannotStart if the sandbox is required but
        incomplete.
        """
        await asyncio.gather(*(self._start_worker() for _ in range(self._size)))
        missing = next(iter(self._workers)).not_sandboxed
        if missing and self._setup.sandbox == "required":
            raise CannotStart(
                f"SANDBOX=required, but the sandbox of worker processes is incomplete here: {', '.join(missing)};"
                " use another kernel or container runtime, or SANDBOX=auto"
            )
        if missing:
            logger.warning("the sandbox of worker processes is incomplete here: %s", ", ".join(missing))

    async def close(self) -> None:
        """Kill all workers and wait for their processes to end."""
        self._closing = True
        for task in self._background:
            task.cancel()
        workers = list(self._workers)
        for worker in workers:
            worker.kill()
        await asyncio.gather(*(worker.reap() for worker in workers))

    @property
    def idle(self) -> int:
        """The number of idle workers."""
        return len(self._idle)

    @property
    def pids(self) -> set[int]:
        """The process IDs of all workers."""
        return {worker.pid for worker in self._workers}

    async def run(self, task: Task[T], *args: object, seconds: float | None = None, memory: int | None = None) -> T:
        """Run a task with `args` in a worker, within `seconds` including the wait (None: no limit).

        It may use `memory` bytes (None: no limit). Open binary files among `args` arrive open. A cancelled call kills
        its worker.

        Raises QueueFull at once if too many jobs wait, DeadlinePassed after killing a worker that took too long,
        WorkerDied if the worker ended, MemoryExceeded, and the ServiceErrors of the task.
        """
        try:
            async with asyncio.timeout(seconds):
                worker = await self._acquire()
                try:
                    return await worker.call(task, *args, memory=memory)
                except asyncio.CancelledError:
                    self._discard(worker, "stopped")
                    raise
                finally:
                    self._release(worker)
        except TimeoutError as error:
            raise DeadlinePassed(f"the image was not processed within {seconds:g} s; retry later") from error

    async def _acquire(self) -> Worker:
        if self._idle:
            return self._idle.pop()  # the last one that worked: its memory is warm, and that of the others stays small
        if len(self._waiting) >= self._queue:
            raise QueueFull(f"the queue is full ({self._queue} jobs are waiting); retry later")
        turn: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release(turn.result())
            else:
                self._waiting.remove(turn)
            raise

    def _release(self, worker: Worker) -> None:
        if worker.alive and worker.jobs >= self._max_jobs:
            self._discard(worker, "recycled")
        if not worker.alive:
            return
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(worker)
                return
        self._idle.append(worker)

    def _discard(self, worker: Worker, end: End) -> None:
        if worker in self._workers:
            self._ends[worker] = end
        worker.kill()
        self._on_death(worker)

    def _on_death(self, worker: Worker) -> None:
        if worker not in self._workers:
            return
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        if not self._closing:
            self._in_background(self._replace(worker))

    async def _replace(self, worker: Worker) -> None:
        await worker.reap()
        self._on_end(self._ends.pop(worker, _own_end(worker)))
        pause = _FIRST_PAUSE
        while not self._closing:
            try:
                await self._start_worker()
            except (OSError, ServiceError, TimeoutError) as error:
                logger.warning("a worker process could not start (%r); retrying in %g s", error, pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                return

    async def _start_worker(self) -> None:
        worker = Worker(self._setup, self._on_death)
        try:
            await worker.start()
        except BaseException:
            worker.kill()
            raise
        self._workers.add(worker)
        self._release(worker)

    def _in_background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _own_end(worker: Worker) -> End:
    if worker.out_of_memory:
        return "memory"
    return "crash" if worker.crashed else "killed"


def _ignore(_end: End) -> None:
    pass
