"""What a thread does has ended when its caller has, also if that one was cancelled."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from service_kit.processes.worker import Setup, Worker
from service_kit.threads import in_thread
from tests.service_kit.processes.test_workers import NOTHING


async def test_a_result_and_an_error_are_passed_on() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_caller_waits_for_its_thread(fails: bool) -> None:
    may_end, ended = threading.Event(), threading.Event()

    def work() -> None:
        may_end.wait()
        ended.set()
        if fails:
            raise OSError

    caller = asyncio.create_task(in_thread(work))
    for _ in range(3):  # the first is not forgotten, the next change nothing
        await asyncio.wait([caller], timeout=0.05)
        caller.cancel()
    await asyncio.wait([caller], timeout=0.05)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


def test_the_end_of_the_event_loop_waits_for_threads(tmp_path: Path) -> None:
    """It cancels all tasks, and files are closed by what they do then."""
    os.mkfifo(pipe := tmp_path / "pipe")
    read: list[bytes] = []

    async def caller() -> None:
        with (tmp_path / "file").open("wb") as file:
            await in_thread(lambda: read.append(pipe.read_bytes()) or file.write(b"x"))

    async def main() -> None:
        task = asyncio.create_task(caller())
        await asyncio.wait([task], timeout=0.05)
        asyncio.get_running_loop().call_later(0.05, pipe.write_bytes, b"y")

    asyncio.run(main())
    assert read == [b"y"]
    assert (tmp_path / "file").read_bytes() == b"x"


async def test_a_worker_whose_start_is_cancelled_has_started_or_never_will() -> None:
    """The start in the thread hands over a descriptor, which `kill` closes."""
    worker = Worker(Setup(NOTHING, ()), lambda _: None)
    starting = asyncio.create_task(worker.start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert worker.pid
    worker.kill()
    await worker.reap()
