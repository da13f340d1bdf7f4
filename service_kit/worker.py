"""A worker process and the pipe to it: what crashes, hangs or is killed takes its own job with it and nothing else.

Every worker has a pipe of its own, so that a killed one leaves no lock behind (docs/adr/0003).
"""

import asyncio
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar

from service_kit.errors import ServiceError, Unavailable

T = TypeVar("T")
_START_SECONDS = 30
_IDLE_SECONDS = 0.05
_CRASH_SIGNALS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP}
"""What a process gets for its own faults; SIGKILL comes from people and from a machine without memory."""

_HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""Ask for large pages: memory that was given back costs fewer page faults when it is needed again. Measured with
malloc_trim after each: thumb=512 of a 15 MP AVIF 387 ms without, 271 with; of a progressive JPEG 106, 80."""

_context = multiprocessing.get_context("forkserver")


class WorkerDied(Unavailable):
    """The process that worked on this job crashed or was killed."""

    crashed = False
    """Whether it ended by its own fault, and not by a signal that only others send."""


def preload(modules: Iterable[str]) -> None:
    """Import `modules` once in the fork server, so that workers start in milliseconds and share their memory."""
    _context.set_forkserver_preload(list(modules))
    os.environ.setdefault("GLIBC_TUNABLES", _HUGE_PAGES)  # read when the fork server starts


class _Process(Protocol):
    @property
    def pid(self) -> int | None: ...
    @property
    def exitcode(self) -> int | None: ...

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def join(self, timeout: float | None = None) -> None: ...


def do_nothing() -> None:
    """What a worker does when there is nothing to do."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a worker process calls besides its jobs."""

    initialize: Callable[[], None]
    """Once, before the first job."""
    idle: Callable[[], None] = do_nothing
    """Whenever no job has come for a moment."""


class Worker:
    """One process and the pipe to it. Does one job at a time."""

    def __init__(self, hooks: Hooks, on_death: Callable[["Worker"], None]) -> None:
        self._connection, self._theirs = _context.Pipe()
        self._process: _Process = _context.Process(target=_work, args=(self._theirs, hooks), daemon=True)
        self._on_death = on_death
        self._answer: asyncio.Future[Any] | None = None
        self._reaping: asyncio.Task[None] | None = None
        self.alive = False
        self.jobs = 0

    @property
    def pid(self) -> int:
        """The process id, for operators and tests."""
        return self._process.pid or 0

    @property
    def crashed(self) -> bool:
        """Whether it ended by its own fault; known once it is reaped."""
        return -(self._process.exitcode or 0) in _CRASH_SIGNALS

    async def start(self) -> None:
        """Start the process and wait until it is ready; WorkerDied if it cannot be."""
        self._answer = asyncio.get_running_loop().create_future()
        await asyncio.to_thread(self._process.start)
        self._theirs.close()  # else its end is never seen
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._on_readable)
        self.alive = True
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._answer
        finally:
            self._answer = None
        if not self.alive:  # it died between its first word and now, when nobody minded it yet
            raise WorkerDied("the worker process ended as soon as it had started")

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """Run `function(*args)` in the process. Its ServiceErrors are raised here."""
        self._answer = asyncio.get_running_loop().create_future()
        self.jobs += 1
        try:
            self._connection.send((function, args))
            ok, value = await self._answer
        except OSError as error:
            self.kill()
            self._on_death(self)
            raise WorkerDied("the worker process ended before it could start the job; try again") from error
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
        """End the process at once, whatever it does. A process that ended already is fine."""
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
        if self._reaping is None:  # once: how it ended can be read a single time
            self._reaping = asyncio.create_task(asyncio.to_thread(self._process.join, _START_SECONDS))
        await asyncio.shield(self._reaping)

    def _on_readable(self) -> None:
        try:
            message = self._connection.recv()
        except (EOFError, OSError):
            answer = self._answer
            self.kill()
            if answer and not answer.done():
                answer.set_exception(WorkerDied("the process that worked on this image ended unexpectedly"))
            self._on_death(self)
            return
        if self._answer and not self._answer.done():
            self._answer.set_result(message)


def _work(connection: Connection, hooks: Hooks) -> None:
    """The life of a worker process: jobs from the pipe until the pipe's other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers itself
    hooks.initialize()
    connection.send(None)
    while True:
        try:
            if not connection.poll(_IDLE_SECONDS):
                hooks.idle()
            function, args = connection.recv()
        except EOFError:
            return
        connection.send(_attempt(function, args))


def _attempt(function: Callable[..., object], args: tuple[object, ...]) -> tuple[bool, object]:
    try:
        return True, function(*args)
    except ServiceError as error:
        return False, error.with_traceback(None)
    except Exception:  # noqa: BLE001
        return False, WorkerFailed(traceback.format_exc())


class WorkerFailed(Exception):
    """A bug in the code that ran in the worker; the text is its traceback there."""
