"""Workers that crash, and images that crash them."""

import asyncio
import ctypes
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from service_kit.errors import UnprocessableImage
from service_kit.processes.pool import WorkerPool
from service_kit.processes.quarantine import Quarantine
from service_kit.processes.worker import Setup, Task, WorkerDied


def nothing() -> None:
    pass


def crash(signum: int) -> None:
    if signum == signal.SIGABRT:
        os.abort()
    ctypes.string_at(0)


def double(number: int) -> int:
    return 2 * number


NOTHING: Task[None] = Task(__name__, "nothing")
CRASH: Task[None] = Task(__name__, "crash")
DOUBLE: Task[int] = Task(__name__, "double", returns=int)
SLEEP: Task[None] = Task("time", "sleep")


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    workers = WorkerPool(2, setup=Setup(NOTHING, (CRASH, SLEEP)), queue=10)
    await workers.start()
    yield workers
    await workers.close()


async def killed(pool: WorkerPool) -> None:
    """Run a job, and kill its process from outside."""
    call = asyncio.create_task(pool.run(SLEEP, 60, seconds=120))
    while not (busy := [worker for worker in pool._workers if worker._answer]):
        await asyncio.sleep(0.01)
    os.kill(busy[0].pid, signal.SIGKILL)
    await call


@pytest.mark.parametrize("signum", [signal.SIGSEGV, signal.SIGABRT])
async def test_a_crash_is_distinguished_from_a_kill(pool: WorkerPool, signum: int) -> None:
    with pytest.raises(WorkerDied) as died:
        await pool.run(CRASH, signum, seconds=30)
    assert died.value.crashed
    with pytest.raises(WorkerDied) as died:
        await killed(pool)
    assert not died.value.crashed
    assert await pool.run(DOUBLE, 21, seconds=30) == 42


async def test_an_image_that_crashed_twice_is_quarantined(pool: WorkerPool) -> None:
    quarantine = Quarantine()

    async def attempt(sha256: str, job: Callable[[], Awaitable[None]]) -> None:
        with quarantine.watch(sha256):
            await job()

    async def crashed() -> None:
        await pool.run(CRASH, signal.SIGSEGV, seconds=30)

    for job in (crashed, lambda: killed(pool), crashed):
        with pytest.raises(WorkerDied):
            await attempt("bad", job)
    with pytest.raises(UnprocessableImage, match="crashed its decoder 2 times"):
        await attempt("bad", crashed)
    with pytest.raises(WorkerDied):
        await attempt("other", lambda: killed(pool))


async def test_a_cancelled_call_kills_its_process(pool: WorkerPool) -> None:
    before = pool.pids
    call = asyncio.create_task(pool.run(SLEEP, 60, seconds=120))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(pool.pids & before) == 1
    assert await asyncio.gather(*(pool.run(DOUBLE, n, seconds=30) for n in range(4))) == [0, 2, 4, 6]
