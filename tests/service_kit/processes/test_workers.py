"""Workers that crash, and images that crash them."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest

from service_kit.errors import UnprocessableImage
from service_kit.processes.pool import WorkerPool
from service_kit.processes.quarantine import Quarantine
from service_kit.processes.worker import Setup, Task, WorkerDied


def nothing() -> None:
    pass


def end_by(signum: int) -> None:
    os.kill(os.getpid(), signum)
    time.sleep(60)


def double(number: int) -> int:
    return 2 * number


NOTHING: Task[None] = Task(__name__, "nothing")
END_BY: Task[None] = Task(__name__, "end_by")
DOUBLE: Task[int] = Task(__name__, "double")
SLEEP: Task[None] = Task("time", "sleep")


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    workers = WorkerPool(2, setup=Setup(NOTHING), queue=10)
    await workers.start()
    yield workers
    await workers.close()


@pytest.mark.parametrize(
    ("signum", "crashed"), [(signal.SIGSEGV, True), (signal.SIGABRT, True), (signal.SIGKILL, False)]
)
async def test_a_crash_is_distinguished_from_a_kill(pool: WorkerPool, signum: int, crashed: bool) -> None:
    with pytest.raises(WorkerDied) as died:
        await pool.run(END_BY, signum, seconds=30)
    assert died.value.crashed is crashed
    assert await pool.run(DOUBLE, 21, seconds=30) == 42


async def test_an_image_that_crashed_twice_is_quarantined(pool: WorkerPool) -> None:
    quarantine = Quarantine()

    async def attempt(sha256: str, signum: int) -> None:
        with quarantine.watch(sha256):
            await pool.run(END_BY, signum, seconds=30)

    for signum in (signal.SIGSEGV, signal.SIGKILL, signal.SIGSEGV):
        with pytest.raises(WorkerDied):
            await attempt("bad", signum)
    with pytest.raises(UnprocessableImage, match="crashed its decoder 2 times"):
        await attempt("bad", signal.SIGSEGV)
    with pytest.raises(WorkerDied):
        await attempt("other", signal.SIGKILL)


async def test_a_cancelled_call_kills_its_process(pool: WorkerPool) -> None:
    before = pool.pids
    call = asyncio.create_task(pool.run(SLEEP, 60, seconds=120))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(pool.pids & before) == 1
    assert await asyncio.gather(*(pool.run(DOUBLE, n, seconds=30) for n in range(4))) == [0, 2, 4, 6]
