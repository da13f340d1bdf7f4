"""A worker process with a pipe of its own. If it crashes, hangs or is killed, only its job fails (docs/adr/0003)."""

import asyncio
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, Generic, Protocol, TypeVar

from service_kit.errors import ServiceError, Unavailable

T = TypeVar("T")
_START_SECONDS = 30
_IDLE_SECONDS = 0.05
_CRASH_SIGNALS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP}
"""The signals that a process causes itself. SIGKILL comes from outside, or from a machine that is out of memory."""

_HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""Request large pages, so that memory that was returned costs fewer page faults when it is needed again. Measured with
malloc_trim after each image: `thumb=512` of a 15 MP AVIF takes 387 ms without and 271 ms with them; of a progressive
JPEG, 106 and 80 ms."""

_ENDED = "the process that worked on this image ended unexpectedly"
_ENDED_AT_START = "a worker process ended while it was starting; see its error above"

_context = multiprocessing.get_context("forkserver")


class WorkerDied(Unavailable):
    """The process that worked on the job crashed or was killed."""

    crashed = False
    """Whether the process ended by its own fault, not by a signal from outside."""


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """The name of a function that runs in worker processes, so that other processes need not import its module."""

    module: str
    function: str

    def resolve(self) -> Callable[..., T]:
        """Import the function."""
        return getattr(import_module(self.module), self.function)  # type: ignore[no-any-return]


def preload(tasks: Iterable[Task[Any]]) -> None:
    """Import the modules of `tasks` once, in the fork server: workers start in milliseconds and share its memory."""
    _context.set_forkserver_preload([task.module for task in tasks])
    os.environ.setdefault("GLIBC_TUNABLES", _HUGE_PAGES)  # read when the fork server starts


class _Process(Protocol):
    @property
    def pid(self) -> int | None: ...
    @property
    def exitcode(self) -> int | None: ...

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def join(self, timeout: float | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Setup:
    """How a worker process is set up, and what it does between jobs."""

    initialize: Task[None]
    """Runs once, before the first job."""
    idle: Task[None] | None = None
    """Runs once when there has been no job for a moment."""
    niceness: int = 0
    """Added to the niceness of the parent process; see nice(2)."""


class Worker:
    """One process and the pipe to it. Does one job at a time."""

    def __init__(self, setup: Setup, on_death: Callable[["Worker"], None]) -> None:
        self._connection, self._theirs = _context.Pipe()
        self._process: _Process = _context.Process(target=_work, args=(self._theirs, setup), daemon=True)
        self._on_death = on_death
        self._answer: asyncio.Future[Any] | None = None
        self._reaping: asyncio.Task[None] | None = None
        self.alive = False
        self.jobs = 0

    @property
    def pid(self) -> int:
        """The process ID, for operators and tests."""
        return self._process.pid or 0

    @property
    def crashed(self) -> bool:
        """Whether it ended by its own fault; known once it is reaped."""
        return -(self._process.exitcode or 0) in _CRASH_SIGNALS

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises WorkerDied if it ends instead."""
        self._answer = asyncio.get_running_loop().create_future()
        await asyncio.to_thread(self._process.start)
        self._theirs.close()  # otherwise this process would not notice when that one ends
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._on_readable)
        self.alive = True
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._answer
        finally:
            self._answer = None
        if not self.alive:  # it died between its first message and now
            raise WorkerDied("the worker process ended as soon as it had started")

    async def call(self, task: Task[T], *args: object) -> T:
        """Run a task with `args` in the process. Raises the ServiceErrors that it raises there."""
        self._answer = asyncio.get_running_loop().create_future()
        self.jobs += 1
        try:
            self._connection.send((task, args))
            ok, value = await self._answer
        except OSError as error:
            self.kill()
            self._on_death(self)
            raise WorkerDied("the worker process ended before it could start the job; retry later") from error
        except WorkerDied as error:
            await self.reap()
            error.crashed = self.crashed
            raise
        finally:
            self._answer = None
        if not ok:
            raise value
        return value  # type: ignore[no-any-return]

    def kill(self) -> None:
        """End the process at once, whatever it is doing. No effect if it has ended already."""
        if self._connection.closed:
            return
        asyncio.get_running_loop().remove_reader(self._connection.fileno())
        self._connection.close()
        self._theirs.close()
        if self.alive:
            self.alive = False
            self._process.kill()

    async def reap(self) -> None:
        """Wait until the process has ended."""
        if self._reaping is None:  # once, since the exit code can be read only once
            self._reaping = asyncio.create_task(asyncio.to_thread(self._process.join, _START_SECONDS))
        await asyncio.shield(self._reaping)

    def _on_readable(self) -> None:
        try:
            message = self._connection.recv()
        except (EOFError, OSError):
            answer = self._answer
            self.kill()
            if answer and not answer.done():
                answer.set_exception(WorkerDied(_ENDED if self.jobs else _ENDED_AT_START))
            self._on_death(self)
            return
        if self._answer and not self._answer.done():
            self._answer.set_result(message)


def _work(connection: Connection, setup: Setup) -> None:
    """The main loop of a worker process: run jobs from the pipe until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops its workers itself
    os.nice(setup.niceness)
    setup.initialize.resolve()()
    idle = setup.idle.resolve() if setup.idle else None
    with suppress(EOFError, BrokenPipeError):  # the parent has gone, or has no use for this worker
        connection.send(None)
        while True:
            if idle and not connection.poll(_IDLE_SECONDS):
                idle()
            task, args = connection.recv()
            connection.send(_attempt(task, args))


def _attempt(task: Task[object], args: tuple[object, ...]) -> tuple[bool, object]:
    try:
        return True, task.resolve()(*args)
    except ServiceError as error:
        return False, error.with_traceback(None)
    except Exception:  # noqa: BLE001
        return False, WorkerFailed(traceback.format_exc())


class WorkerFailed(Exception):
    """A bug in the code that ran in the worker. The text is the traceback from there."""
