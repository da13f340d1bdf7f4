"""Runs renders: from a level if one will do, otherwise from the original, whose levels it makes on the way."""

import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from imaging.levels import Level
from service_kit.errors import InsufficientStorage, UnprocessableImage
from service_kit.spool import Spool
from transform_service.levels import LevelMaker, remove
from transform_service.metrics import LEVELS, RENDERS
from transform_service.planning.cost import estimate
from transform_service.planning.levels import can_make_levels, from_level, level_for, making_cost, missing
from transform_service.planning.plan import Plan, Planned
from transform_service.result import Result, Timings
from transform_service.scheduling.admission import Preempted
from transform_service.scheduling.renderers import NO_LEVELS, Renderers, RenderSource
from transform_service.sources.base import LevelLost, SourceImage


@dataclass(frozen=True, slots=True)
class RenderJob:
    """A plan with the images that it needs."""

    image: SourceImage
    overlays: Sequence[SourceImage]
    """In the same order as `plan.overlays`."""
    plan: Plan
    planned: Planned


class Renders:
    """Renders, each with a result in memory if it has at most `entry_bytes`, otherwise in a file."""

    def __init__(self, renderers: Renderers, spool: Spool, levels: LevelMaker, entry_bytes: int) -> None:
        self._renderers = renderers
        self._spool = spool
        self._levels = levels
        self._entry_bytes = entry_bytes

    async def run(self, job: RenderJob) -> Result:
        """Render now. Raises the errors of Renderers.render."""
        levels, start = job.image.levels, _from_level(job)
        if levels is None or start is None:
            return await self._run_original(job)
        planned, level = start
        try:
            async with levels.local(level) as path:
                result = await self._run(job, planned, RenderSource(path, level.sha256))
        except (LevelLost, UnprocessableImage):  # the original tells whether the level or the chain is to blame
            result = await self._run_original(job)
            self._levels.replace(job.image, level)
        else:
            LEVELS.labels("used").inc()
        return result

    async def run_when_idle(self, job: RenderJob) -> Result:
        """Render when nobody else needs the cores, however long that takes.

        Raises the errors of Renderers.render_when_idle, and UnprocessableImage if the render never fits in memory.
        """
        levels, start = job.image.levels, _from_level(job)
        if levels and start:
            planned, level = start
            with contextlib.suppress(LevelLost, UnprocessableImage):  # the original tells what is to blame
                return await self._run_patiently(job, planned, levels.local(level), level.sha256)
            self._levels.replace(job.image, level)
        return await self._run_patiently(job, job.planned, job.image.local(), job.image.sha256)

    async def _run_patiently(
        self, job: RenderJob, planned: Planned, local: contextlib.AbstractAsyncContextManager[Path], sha256: str
    ) -> Result:
        if not self._renderers.fits(planned.cost):
            needed = planned.cost.bytes >> 20
            raise UnprocessableImage(f"rendering it takes about {needed} MiB, more than renders may")
        async with local as path, self._overlays(job) as overlays:
            while True:
                output = self._spool.new_path()
                try:
                    source = RenderSource(path, sha256)
                    started = time.perf_counter()
                    report = await self._renderers.render_when_idle(source, planned, overlays, output)
                    queue = time.perf_counter() - started - report.render - report.encode
                    return self._result(output, Timings("miss", queue, report.render, report.encode))
                except Preempted:
                    continue
                finally:
                    output.unlink(missing_ok=True)

    async def _run_original(self, job: RenderJob) -> Result:
        lacks = self._lacks_levels(job)
        async with job.image.local() as path:
            source = RenderSource(path, job.image.sha256)
            if lacks and (planned := self._making(job, lacks)):
                try:
                    return await self._run_and_make(job, planned, source, lacks)
                except (InsufficientStorage, UnprocessableImage):  # perhaps only the levels are to blame
                    self._levels.give_up(job.image.sha256)
                    return await self._run(job, job.planned, source)
            result = await self._run(job, job.planned, source)
        if lacks:
            self._levels.make_soon(job.image)
        return result

    def _making(self, job: RenderJob, sides: Sequence[int]) -> Planned | None:
        """The plan that makes these levels on the way; None if that would take much longer, or too much memory."""
        cost = job.planned.cost.plus(making_cost(job.plan.header, sides))
        worth = can_make_levels(job.plan) and cost.heavy == job.planned.cost.heavy and self._renderers.fits(cost)
        return replace(job.planned, cost=cost, key=f"{job.planned.key} with levels") if worth else None

    async def _run_and_make(
        self, job: RenderJob, planned: Planned, source: RenderSource, sides: Sequence[int]
    ) -> Result:
        """Render the original, and make levels from its pixels on the way."""
        files = self._levels.new_files(sides)
        try:
            with self._levels.claimed(job.image.sha256):
                result = await self._run(job, planned, source, files)
        except BaseException:
            remove(files)
            raise
        self._levels.keep(job.image, files)
        return result

    def _lacks_levels(self, job: RenderJob) -> Sequence[int]:
        """The levels that the image lacks, if this plan could have started from one of them."""
        levels = job.image.levels
        if levels is None or not self._levels.may_make(job.image.sha256):
            return ()
        lacks = missing(job.plan.header, levels.there)
        return lacks if level_for(job.plan) in lacks else ()

    async def _run(
        self, job: RenderJob, planned: Planned, source: RenderSource, levels: Mapping[int, Path] = NO_LEVELS
    ) -> Result:
        output = self._spool.new_path()
        try:
            async with self._overlays(job) as overlays:
                RENDERS.inc()
                started = time.perf_counter()
                report = await self._renderers.render(source, planned, overlays, output, levels=levels)
            queue = time.perf_counter() - started - report.render - report.encode
            level = planned.plan is not None and planned.plan.level
            return self._result(output, Timings("miss", queue, report.render, report.encode, level=level))
        finally:
            output.unlink(missing_ok=True)

    @asynccontextmanager
    async def _overlays(self, job: RenderJob) -> AsyncIterator[dict[str, RenderSource]]:
        async with contextlib.AsyncExitStack() as stack:
            yield {
                image_id: RenderSource(await stack.enter_async_context(overlay.local()), overlay.sha256)
                for image_id, overlay in zip(job.plan.overlays, job.overlays, strict=True)
            }

    def _result(self, output: Path, timings: Timings) -> Result:
        if output.stat().st_size <= self._entry_bytes:
            # Not in a thread, which would take longer: the file was just written, so it is still in memory.
            return Result.in_memory(output.read_bytes(), timings)
        return Result.from_file(output, timings)


def _from_level(job: RenderJob) -> tuple[Planned, Level] | None:
    """The plan from a level, and that level; None if the render needs the original."""
    start = from_level(job.plan, job.image.levels.there) if job.image.levels else None
    if start is None:
        return None
    plan, level = start
    return replace(job.planned, plan=plan, cost=estimate(plan)), level
