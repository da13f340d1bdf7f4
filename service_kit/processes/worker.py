"""A worker process. If it crashes, hangs or is killed, only its job fails (docs/adr/0003).

It runs in a sandbox (docs/adr/0040), under the memory limit of its job (docs/adr/0039).
"""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, Protocol, TypeVar

from service_kit.errors import MemoryExceeded, Unavailable
from service_kit.processes import _loop
from service_kit.processes import _messages as messages
from service_kit.processes._memory_guard import OUT_OF_MEMORY, end_out_of_memory
from service_kit.processes.sandbox import Sandbox
from service_kit.threads import in_thread

__all__ = ["Setup", "Task", "Worker", "WorkerDied", "end_out_of_memory", "preload"]

T = TypeVar("T")
_START_SECONDS = 30
_CRASH_SIGNALS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP}
"""The signals that a process causes itself. SIGKILL comes from outside, or from a machine that is out of memory."""

_HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""Request large pages, so that memory that was returned costs fewer page faults when it is needed again. Measured with
malloc_trim after each image: `thumb=512` of a 15 MP AVIF takes 387 ms without and 271 ms with them; of a progressive
JPEG, 106 and 80 ms."""

_ENDED = "the process that worked on this image ended unexpectedly"
_MISBEHAVED = "the process that worked on this image sent an invalid answer and was stopped"
_ENDED_AT_START = "a worker process ended while it was starting; see its error above"

logger = logging.getLogger(__name__)
_context = multiprocessing.get_context("forkserver")


class WorkerDied(Unavailable):
    """The process that worked on the job crashed or was killed."""

    crashed = False
    """Whether the process ended by its own fault, not by a signal from outside."""

    def __init__(self, detail: str, *, crashed: bool = False) -> None:
        super().__init__(detail)
        self.crashed = crashed


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """The name of a function that runs in worker processes, so that other processes need not import its module."""

    module: str
    function: str
    returns: type[T] | None = None
    """The type of its results, which are checked against it."""

    def resolve(self) -> Callable[..., T]:
        """Import the function."""
        return getattr(import_module(self.module), self.function)  # type: ignore[no-any-return]


def preload(tasks: Iterable[Task[Any]]) -> None:
    """Import the modules of `tasks` once, in the fork server: workers start in milliseconds and share its memory."""
    _context.set_forkserver_preload(
        ["service_kit.processes._environment", *(task.module for task in tasks), "service_kit.processes._frozen"]
    )
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
    """Runs once, before the sandbox closes and the first job begins."""
    tasks: Sequence[Task[Any]]
    """The tasks of its jobs. Their modules are imported before the sandbox closes, which opens no files."""
    idle: Task[None] | None = None
    """Runs once when there has been no job for a moment, and at once after a job that left much memory."""
    niceness: int = 0
    """Added to the niceness of the parent process; see nice(2)."""
    sandbox: Sandbox = "auto"
    most_memory: int | None = None
    """No job can make the process take more bytes than this, whatever it does; None: no limit."""


class Worker:
    """One process and the connection to it. Does one job at a time."""

    def __init__(self, setup: Setup, on_death: Callable[["Worker"], None]) -> None:
        self._connection, self._theirs = socket.socketpair()
        self._connection.setblocking(False)
        self._process: _Process = _context.Process(target=_loop.work, args=(self._theirs, setup), daemon=True)
        self._on_death = on_death
        self._received = bytearray()
        self._answer: asyncio.Future[bytes] | None = None
        self._reaping: asyncio.Task[None] | None = None
        self.not_sandboxed: list[str] = []
        """What the kernel does not offer of the sandbox, in a line each; known after `start`."""
        self.alive = False
        self.jobs = 0

    @property
    def pid(self) -> int:
        """The process ID, for operators and tests."""
        return self._process.pid or 0

    @property
    def crashed(self) -> bool:
        """Whether it ended by its own fault; known once it is reaped."""
        return -(self._process.exitcode or 0) in _CRASH_SIGNALS or self.out_of_memory

    @property
    def out_of_memory(self) -> bool:
        """Whether it ended since its job took more memory than it may; known once it is reaped."""
        return self._process.exitcode == OUT_OF_MEMORY

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises WorkerDied if it ends instead."""
        self._answer = asyncio.get_running_loop().create_future()
        await in_thread(self._process.start)
        self._theirs.close()  # otherwise this process would not notice when that one ends
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._on_readable)
        self.alive = True
        try:
            async with asyncio.timeout(_START_SECONDS):
                self.not_sandboxed = messages.read(0, list[str], await self._answer)
        except messages.BadAnswer as error:
            raise WorkerDied(_MISBEHAVED) from error
        finally:
            self._answer = None
        if not self.alive:  # it died between its first message and now
            raise WorkerDied("the worker process ended as soon as it had started")

    async def call(self, task: Task[T], *args: object, memory: int | None = None) -> T:
        """Run a task with `args` in the process. Open binary files among them arrive open.

        The process may take `memory` bytes more than an idle one (None: no limit). Raises the errors of the
        task, if they are among EXPECTED (_messages.py), MemoryExceeded, and WorkerDied.
        """
        self._answer = asyncio.get_running_loop().create_future()
        self.jobs += 1
        try:
            self._send(messages.job(task, args, memory))
            return messages.read(self.jobs, task.returns, await self._answer)  # type: ignore[no-any-return]
        except OSError as error:
            self._end()
            raise WorkerDied("the worker process ended before it could start the job; retry later") from error
        except messages.BadAnswer as error:
            self._end()
            raise WorkerDied(_MISBEHAVED, crashed=True) from error
        except messages.WorkerFailed:
            self._end()  # whatever state it is in
            raise
        except WorkerDied as error:
            await self.reap()
            if self.out_of_memory:
                raise MemoryExceeded from error
            error.crashed = error.crashed or self.crashed
            logger.warning("a worker process %s during %s", self._end_in_words(), task.function)
            raise
        finally:
            self._answer = None

    def kill(self) -> None:
        """End the process at once, whatever it is doing. No effect if it has ended already."""
        if self._connection.fileno() < 0:
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
            self._reaping = asyncio.create_task(in_thread(self._process.join, _START_SECONDS))
        await asyncio.shield(self._reaping)

    def _end_in_words(self) -> str:
        code = self._process.exitcode or 0
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"

    def _end(self) -> None:
        self.kill()
        self._on_death(self)

    def _send(self, job: messages.Job) -> None:
        """Raises OSError unless all of it fits into the connection: an idle worker has read everything before."""
        if socket.send_fds(self._connection, [job.data], job.files) < len(job.data):
            raise BlockingIOError("the worker process does not read its jobs")

    def _on_readable(self) -> None:
        try:
            received = self._connection.recv(messages.LONGEST_ANSWER)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        self._received += received
        if not received:
            self._fail(WorkerDied(_ENDED if self.jobs else _ENDED_AT_START))
        elif b"\n" in received:
            line, _, rest = bytes(self._received).partition(b"\n")
            self._received.clear()
            if rest or self._answer is None or self._answer.done():
                self._fail(WorkerDied(_MISBEHAVED, crashed=True))
            else:
                self._answer.set_result(line)
        elif len(self._received) > messages.LONGEST_ANSWER:
            self._fail(WorkerDied(_MISBEHAVED, crashed=True))

    def _fail(self, error: WorkerDied) -> None:
        answer = self._answer
        self.kill()
        if answer and not answer.done():
            answer.set_exception(error)
        self._on_death(self)
