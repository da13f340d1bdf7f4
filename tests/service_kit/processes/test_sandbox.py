"""A hostile decoder: nothing that it tries works, and only its own job fails."""

import ctypes
import mmap
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from service_kit.errors import CannotStart, Gone, MemoryExceeded, UnprocessableImage
from service_kit.processes import worker
from service_kit.processes._messages import WorkerFailed
from service_kit.processes.pool import DeadlinePassed, WorkerPool
from service_kit.processes.worker import Setup, Task, WorkerDied
from tests.servers import ROOT

MEBIBYTE = 1024**2


def nothing() -> None:
    pass


def raise_gone() -> None:
    raise Gone("x")


def double(number: int) -> int:
    return 2 * number


def attempt(name: str, *arguments: object) -> str:
    """Try something hostile. Returns the error that it met, or what it achieved."""
    try:
        return f"it worked: {ATTEMPTS[name](*arguments)!r}"
    except Exception as error:  # noqa: BLE001
        return type(error).__name__


def _libc_call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def _send_signal_by_file(pid: int) -> None:
    import fcntl  # noqa: PLC0415

    fcntl.fcntl(_connection(), fcntl.F_SETOWN, pid)


ATTEMPTS = {
    "read a file": lambda: Path("/etc/passwd").read_text(),
    "read a module": lambda: __import__("antigravity"),
    "write a file": lambda: Path("/tmp/hostile").write_text("x"),
    "list a folder": lambda: os.listdir("/"),  # noqa: PTH208
    "connect": lambda: socket.socket().connect(("127.0.0.1", 9)),
    "make a socket": lambda: socket.socket(socket.AF_UNIX),
    "run a program": lambda: subprocess.run(["/bin/true"], check=True),
    "become a program": lambda: os.execv("/bin/true", ["true"]),
    "fork": os.fork,
    "signal its parent": lambda: os.kill(os.getppid(), signal.SIGTERM),
    "signal the service": lambda pid: os.kill(pid, signal.SIGTERM),
    "signal by a file": _send_signal_by_file,
    "attach": lambda pid: _libc_call("ptrace", 16, pid, 0, 0),
    "read another process": lambda pid: _libc_call("process_vm_readv", pid, 0, 0, 0, 0, 0),
    "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (9999, 9999)),
    "share memory": lambda: mmap.mmap(-1, MEBIBYTE),
    "run its own code": lambda: mmap.mmap(-1, MEBIBYTE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_EXEC),
    "hide in a file in memory": lambda: os.memfd_create("x"),
}
NEED_A_PROCESS = {"signal the service", "signal by a file", "attach", "read another process"}


def send(message: bytes) -> None:
    """Write to the service, as a decoder could that was taken over."""
    os.write(_connection(), message)
    time.sleep(60)


def send_afterwards(message: bytes) -> int:
    """Send an answer now, and another one when this returns."""
    os.write(_connection(), message)
    return 1


def _connection() -> int:
    """The descriptor of the worker's connection: the only socket that is open."""
    for descriptor in range(3, 64):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return descriptor
    raise AssertionError("no connection")


def take(mebibytes: int) -> int:
    return len(b"x" * (mebibytes * MEBIBYTE))


def take_briefly(mebibytes: int) -> int:
    """Take memory and return it before anybody can see it."""
    memory = mmap.mmap(-1, mebibytes * MEBIBYTE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    for offset in range(0, len(memory), mmap.PAGESIZE):
        memory[offset] = 1
    memory.close()
    return mebibytes


def resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


NOTHING: Task[None] = Task(__name__, "nothing")
DOUBLE: Task[int] = Task(__name__, "double", returns=int)
ATTEMPT: Task[str] = Task(__name__, "attempt", returns=str)
RAISE: Task[None] = Task(__name__, "raise_gone")
SEND: Task[int] = Task(__name__, "send", returns=int)
SEND_AFTERWARDS: Task[int] = Task(__name__, "send_afterwards", returns=int)
TAKE: Task[int] = Task(__name__, "take", returns=int)
TAKE_BRIEFLY: Task[int] = Task(__name__, "take_briefly", returns=int)


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    worker.preload([ATTEMPT])
    workers = WorkerPool(1, setup=Setup(NOTHING, (ATTEMPT,), most_memory=1024 * MEBIBYTE), queue=10)
    await workers.start()
    yield workers
    await workers.close()


@pytest.mark.parametrize("name", ATTEMPTS)
async def test_nothing_hostile_works(pool: WorkerPool, name: str) -> None:
    arguments = (os.getpid(),) if name in NEED_A_PROCESS else ()
    result = await pool.run(ATTEMPT, name, *arguments, seconds=30)
    assert result in {"PermissionError", "OSError", "ModuleNotFoundError", "ImportError", "ValueError"}, result
    assert await pool.run(DOUBLE, 21, seconds=30) == 42


INCOMPLETE = b"1:v1"


@pytest.mark.parametrize(
    "message",
    [
        b'1:v"text"\n',  # not the type of the task's result
        b"2:v1\n",  # the answer to another job
        b"v1\n",
        INCOMPLETE,
        b"1:x1\n",
        b"\n",
        b"1:v" + b"[" * 60_000 + b"\n",
        b"1:v" + b"1" * 100_000,
        b'1:e["SystemExit","x"]\n',
        b'1:e["ServiceError"]\n',
        b'1:e["ServiceError","x"]\n',  # would be a 500
        b'1:e["Gone","x"]\n',  # no task raises this
        b'1:e["ContentLost","x"]\n',
        b"1:v1\n1:v2\n",
        b"cos\nsystem\n(S'touch /tmp/hostile'\ntR.\n",  # a pickle that runs a command
    ],
)
async def test_a_malicious_message_fails_only_its_own_job(pool: WorkerPool, message: bytes) -> None:
    before = pool.pids
    with pytest.raises(DeadlinePassed if message == INCOMPLETE else WorkerDied) as failed:
        await pool.run(SEND, message, seconds=1 if message == INCOMPLETE else 30)
    assert message == INCOMPLETE or failed.value.crashed, "it counts against the image"
    assert not Path("/tmp/hostile").exists()
    assert await pool.run(DOUBLE, 21, seconds=30) == 42
    assert pool.pids.isdisjoint(before)


@pytest.mark.parametrize(
    ("message", "error", "text"),
    [
        (b'e["UnprocessableImage","x\\n\\u001b[2J2026 ERROR forged"]', UnprocessableImage, "x  [2J2026 ERROR forged"),
        (b'b"x\\r2026 ERROR forged\\n\\u001b[2J"', WorkerFailed, "\n    x\n    2026 ERROR forged\n     [2J"),
    ],
)
async def test_a_worker_cannot_forge_lines_of_the_log(
    pool: WorkerPool, message: bytes, error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as raised:
        await pool.run(SEND, b"1:" + message + b"\n", seconds=30)
    assert str(raised.value) == text


async def test_an_error_that_no_task_may_raise_is_a_bug(pool: WorkerPool) -> None:
    with pytest.raises(WorkerFailed, match="Gone: x"):
        await pool.run(RAISE, seconds=30)


async def test_a_second_answer_never_passes_for_that_to_the_next_job(pool: WorkerPool) -> None:
    before = pool.pids
    # The process is stopped when the second answer arrives: with the first one, or during the next job, or between.
    with suppress(WorkerDied):
        assert await pool.run(SEND_AFTERWARDS, b"1:v7\n", seconds=30) == 7
    with suppress(WorkerDied):
        assert await pool.run(DOUBLE, 21, seconds=30) == 42
    assert await pool.run(DOUBLE, 21, seconds=30) == 42
    assert pool.pids.isdisjoint(before)


@pytest.mark.parametrize("task", [TAKE, TAKE_BRIEFLY])
async def test_a_job_cannot_take_more_memory_than_it_may(pool: WorkerPool, task: Task[int]) -> None:
    assert await pool.run(task, 50, memory=100 * MEBIBYTE, seconds=30)
    for _ in range(3):
        with pytest.raises(MemoryExceeded):
            await pool.run(task, 300, memory=100 * MEBIBYTE, seconds=30)
    assert await pool.run(task, 50, memory=100 * MEBIBYTE, seconds=30)


async def test_no_job_can_take_more_than_a_process_may_have(pool: WorkerPool) -> None:
    with pytest.raises(MemoryExceeded):
        await pool.run(TAKE, 2000, seconds=30)


async def test_an_incomplete_sandbox_is_reported_or_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no kernel without Landlock here, so the test adds what a worker reports without it."""
    start = worker.Worker.start

    async def started(self: worker.Worker) -> None:
        await start(self)
        assert self.not_sandboxed == [], "this kernel has everything"
        self.not_sandboxed = ["no Landlock (Function not implemented)"]

    monkeypatch.setattr(worker.Worker, "start", started)
    for sandbox in ("auto", "required"):
        pool = WorkerPool(1, setup=Setup(NOTHING, (ATTEMPT,), sandbox=sandbox), queue=1)
        try:
            if sandbox == "required":
                with pytest.raises(CannotStart, match="incomplete here: no Landlock"):
                    await pool.start()
            else:
                await pool.start()
                assert "incomplete here: no Landlock" in caplog.text
        finally:
            await pool.close()


def test_workers_see_no_secrets(tmp_path: Path) -> None:
    """In a program of its own, since the fork server of the tests has started already."""
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, os, pathlib\n"
        "from service_kit.processes import worker\n"
        "from service_kit.processes.pool import WorkerPool\n"
        "from tests.service_kit.processes.test_sandbox import ATTEMPT, NOTHING\n"
        "async def main():\n"
        "    worker.preload([ATTEMPT])\n"
        "    pool = WorkerPool(1, setup=Setup(NOTHING, (ATTEMPT,)), queue=1)\n"
        "    await pool.start()\n"
        "    print(pathlib.Path(f'/proc/{next(iter(pool.pids))}/environ').read_bytes())\n"
        "    await pool.close()\n"
        "from service_kit.processes.worker import Setup\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    environment = os.environ | {
        "PGPASSWORD": "secret-1",
        "AWS_SECRET_ACCESS_KEY": "secret-2",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert "PYTHONPATH" in done.stdout
    assert "secret" not in done.stdout
