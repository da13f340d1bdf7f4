"""Admission by cost: lanes, memory and refusals. Only events control these tests, no clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from transform_service.planning.plan import Cost
from transform_service.scheduling.admission import Admission, Preempted, Refused

MIB = 1024**2
SMALL = Cost(0.02, 10 * MIB)
HEAVY = Cost(2, 300 * MIB)


def gate(**changes: float) -> Admission:
    options = {"slots": 2, "memory": 1000 * MIB, "queue": 100, "seconds": 60, **changes}
    return Admission(**options)  # type: ignore[arg-type]


class Render:
    """A render, or idle work, that runs from its turn until `end`."""

    def __init__(self, turn: AbstractAsyncContextManager[None]) -> None:
        self.running = False
        self._end = asyncio.Event()
        self.task = asyncio.create_task(self._run(turn))

    async def _run(self, turn: AbstractAsyncContextManager[None]) -> None:
        async with turn:
            self.running = True
            await self._end.wait()
        self.running = False

    async def end(self) -> None:
        self._end.set()
        await self.task
        await settled()


def idle(admission: Admission, cost: Cost = SMALL) -> Render:
    """Work for which nobody waits."""
    return Render(admission.idle(cost))


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def renders(admission: Admission, *costs: Cost) -> AsyncIterator[list[Render]]:
    started = [Render(admission.admitted(cost)) for cost in costs]
    await settled()
    try:
        yield started
    finally:
        for render in started:
            render.task.cancel()
        await asyncio.gather(*(render.task for render in started), return_exceptions=True)


def running(started: list[Render]) -> list[bool]:
    return [render.running for render in started]


async def test_one_render_more_than_there_are_slots_runs() -> None:
    async with renders(gate(), SMALL, SMALL, SMALL, SMALL) as started:
        assert running(started) == [True, True, True, False]
        await started[0].end()
        assert running(started) == [False, True, True, True]


async def test_heavy_renders_leave_a_place_for_small_ones() -> None:
    async with renders(gate(), HEAVY, HEAVY, HEAVY, SMALL, SMALL) as started:
        assert running(started) == [True, True, False, True, False]
        await started[3].end()
        assert running(started) == [True, True, False, False, True]


async def test_lanes_are_served_in_order_of_arrival() -> None:
    async with renders(gate(slots=1), SMALL, SMALL, HEAVY, SMALL) as started:
        assert running(started) == [True, True, False, False]
        await started[0].end()
        assert running(started) == [False, True, True, False]


async def test_cheap_renders_overtake_expensive_ones_in_their_lane() -> None:
    expensive, cheap = Cost(0.1, MIB), Cost(0.01, MIB)
    async with renders(gate(slots=1), expensive, expensive, expensive, expensive, cheap) as started:
        assert running(started) == [True, True, False, False, False]
        await started[0].end()
        assert running(started) == [False, True, False, False, True]


async def test_a_render_is_overtaken_at_most_fifty_times() -> None:
    expensive, cheap = Cost(0.1, MIB), Cost(0.01, MIB)
    async with renders(gate(slots=1), cheap, cheap, expensive, *[cheap] * 60) as started:
        ended = 0
        while not started[2].running:
            await next(render for render in started if render.running).end()
            ended += 1
        assert ended <= 2 + 50


async def test_heavy_renders_wait_for_memory_and_keep_their_order() -> None:
    large = Cost(2, 800 * MIB)
    async with renders(gate(slots=3), HEAVY, large, HEAVY, SMALL) as started:
        assert running(started) == [True, False, False, True]
        await started[0].end()
        assert running(started) == [False, True, False, True]


async def test_a_render_that_never_fits_is_refused_with_the_reason() -> None:
    with pytest.raises(Refused, match="needs about 2000 MiB of memory, and the limit is 1000 MiB") as refused:
        async with gate().admitted(Cost(1, 2000 * MIB)):
            pass
    assert refused.value.retry_after == 3600


async def test_a_full_queue_refuses_immediately() -> None:
    admission = gate(slots=1, queue=2)
    async with renders(admission, SMALL, SMALL, SMALL, SMALL):
        with pytest.raises(Refused, match="too many renders are waiting \\(2, for"):
            async with admission.admitted(SMALL):
                pass


async def test_a_wait_that_is_too_long_is_refused_with_retry_after() -> None:
    admission = gate(slots=1, seconds=3)
    async with renders(admission, HEAVY, HEAVY):
        with pytest.raises(Refused) as refused:
            async with admission.admitted(HEAVY):
                pass
        assert refused.value.retry_after == 4
        async with admission.admitted(SMALL):  # the other lane
            pass


async def test_a_cancelled_render_leaves_the_queue() -> None:
    admission = gate(slots=1)
    async with renders(admission, HEAVY, HEAVY, HEAVY) as started:
        started[1].task.cancel()
        await settled()
        assert admission.waiting == 1
        await started[0].end()
        assert running(started) == [False, False, True]


async def test_a_cancelled_running_render_makes_room() -> None:
    async with renders(gate(slots=1), HEAVY, HEAVY) as started:
        started[0].task.cancel()
        await settled()
        assert running(started)[1]


async def test_a_render_cancelled_at_its_admission_makes_room() -> None:
    admission = gate(slots=1)
    async with renders(admission, HEAVY, HEAVY, HEAVY) as started:
        started[0]._end.set()
        await asyncio.sleep(0)  # the second is admitted now, but does not know it yet
        started[1].task.cancel()
        await settled()
        assert running(started) == [False, False, True]
        assert admission.waiting == 0


async def test_a_failed_render_makes_room() -> None:
    admission = gate(slots=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with admission.admitted(SMALL):
                raise ZeroDivisionError


async def test_the_pace_of_the_machine_is_learned() -> None:
    admission = gate()
    for _ in range(200):
        async with admission.admitted(Cost(1000, 1)):
            pass
    assert admission.pace == pytest.approx(0.1, abs=0.01)  # one render counts as at most ten times faster


async def test_idle_jobs_run_one_at_a_time_and_only_while_no_render_waits() -> None:
    admission = gate()
    async with renders(admission, HEAVY, HEAVY, HEAVY) as (first, second, third):
        jobs = [idle(admission), idle(admission)]
        await settled()
        assert [job.running for job in jobs] == [False, False]
        await first.end()  # the third render takes the slot
        assert (third.running, jobs[0].running) == (True, False)
        await second.end()
        assert [job.running for job in jobs] == [True, False]
        await jobs[0].end()
        assert jobs[1].running
        await jobs[1].end()


async def test_an_idle_job_whose_memory_a_render_needs_is_stopped() -> None:
    admission = gate(memory=500 * MIB)
    job = idle(admission, Cost(1, 400 * MIB))
    await settled()
    assert job.running
    async with renders(admission, SMALL) as (small,):
        assert (small.running, job.running) == (True, True)
        async with renders(admission, HEAVY) as (heavy,):
            assert heavy.running
            with pytest.raises(Preempted):
                await job.task
            again = idle(admission, Cost(1, 400 * MIB))
            await settled()
            assert not again.running
        await settled()
        assert again.running
        await again.end()


async def test_an_idle_job_that_is_stopped_before_it_has_begun_does_not_begin() -> None:
    admission = gate(memory=500 * MIB)
    job = idle(admission, Cost(1, 400 * MIB))
    async with renders(admission, HEAVY) as (heavy,):  # both get their turn before either task runs again
        assert heavy.running
        with pytest.raises(Preempted):
            await job.task


async def test_an_idle_job_does_not_wait_for_one_that_does_not_fit() -> None:
    admission = gate(memory=500 * MIB)
    async with renders(admission, HEAVY):
        large, small = idle(admission, Cost(1, 400 * MIB)), idle(admission)
        await settled()
        assert (large.running, small.running) == (False, True)
        await small.end()
        large.task.cancel()
        await settled()


async def test_an_idle_job_waits_for_memory() -> None:
    admission = gate(memory=500 * MIB)
    async with renders(admission, HEAVY) as (render,):
        job = idle(admission, Cost(1, 300 * MIB))
        await settled()
        assert not job.running
        await render.end()
        assert job.running
        await job.end()


async def test_a_cancelled_idle_job_leaves_its_place_to_the_next() -> None:
    admission = gate(slots=1)
    async with renders(admission, HEAVY) as (render,):
        jobs = [idle(admission), idle(admission)]
        await settled()
        jobs[0].task.cancel()
        await settled()
        await render.end()
        assert jobs[1].running
        jobs[1].task.cancel()
        await settled()
        third = idle(admission)
        await settled()
        assert third.running
        await third.end()
