"""The use case of the transform service: plan, look into the result cache, render once, keep the result."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cachetools import LRUCache

from imaging.formats import Format, InputLimits
from imaging.header import Header
from service_kit.errors import InsufficientStorage, Unavailable, UnprocessableImage
from service_kit.flights import Flights
from service_kit.observing import spans
from service_kit.processes.pool import DeadlinePassed
from service_kit.processes.quarantine import Quarantined
from service_kit.spool import Spool
from transform_service.caching.results import ResultCache
from transform_service.chain import Chain
from transform_service.levels import LevelMaker, remove
from transform_service.metrics import LEVELS, RENDERS, RESULTS
from transform_service.operations.base import Steps
from transform_service.planning.cost import estimate
from transform_service.planning.levels import can_make_levels, from_level, level_for, making_cost, missing
from transform_service.planning.plan import OutputLimits, Plan, Planned
from transform_service.planning.planner import of_page, page_to_read, plan, verification, with_overlays
from transform_service.result import Result, Timings
from transform_service.scheduling.renderers import NO_LEVELS, Renderers, RenderSource
from transform_service.settings import TransformSettings
from transform_service.sources.base import LevelLost, SourceImage

_VERIFIED = 10_000
"""The number of contents; about 2 MB."""
_PLANS, _LONGEST_QUERY = 1000, 256
"""Plans that are remembered, which take a fifth of the work for a cached result: about 4 MB."""
_HIT, _WAITED, _ORIGINAL = Timings("hit"), Timings("waited"), Timings("original")


@dataclass(frozen=True, slots=True)
class _Job:
    """A plan with the images that it needs."""

    image: SourceImage
    overlays: Sequence[SourceImage]
    """In the same order as `plan.overlays`."""
    plan: Plan
    planned: Planned


class Transformer:
    """Transforms images. Simultaneous identical requests share one render; later ones find its result in the cache."""

    def __init__(
        self,
        settings: TransformSettings,
        renderers: Renderers,
        cache: ResultCache,
        spool: Spool,
        levels: LevelMaker,
    ) -> None:
        self._limits = OutputLimits(settings.max_pixels, settings.max_output_side)
        self._input_limits = InputLimits(settings.max_pixels, settings.max_frames, settings.max_input_side)
        self._entry_bytes = settings.result_cache_entry_bytes
        self._renderers = renderers
        self._cache = cache
        self._spool = spool
        self._levels = levels
        self._flights: Flights[Result] = Flights()
        self._plans: LRUCache[tuple[str, str, str, Header], Planned] = LRUCache(_PLANS)
        self._verified: LRUCache[str, bool] = LRUCache(_VERIFIED)
        """Contents of which all pixels were decoded, by hash."""

    async def plan(self, image: SourceImage, chain: Chain, output: Format) -> Planned:
        """Plan a request, or remember its plan. Decodes no pixels."""
        request = (chain.query, output.name, image.sha256, image.header)
        planned = self._plans.get(request)
        if planned is None:
            planned = await self._plan(image, chain.operations, output)
            if len(chain.query) <= _LONGEST_QUERY:
                self._plans[request] = planned
        return planned

    async def _plan(self, image: SourceImage, operations: Steps, output: Format) -> Planned:
        header = image.header
        self._check(header)
        page = page_to_read(operations, header)
        if page is not None:
            async with image.local() as path:
                header = of_page(header, await self._renderers.read_header(RenderSource(path, image.sha256), page))
        return plan(operations, output, header, image.sha256, self._limits)

    async def render(self, image: SourceImage, planned: Planned, overlays: Sequence[SourceImage]) -> Result:
        """The result of a plan: the original, a cached result, or that of a render, which may have begun already.

        The `overlays` are in the order of `planned.overlays`.
        A render is cancelled when the last request that was waiting for it has gone. Raises Gone if the image or an
        overlay was deleted meanwhile: deleted images are served for no longer than a second.
        """
        async with contextlib.AsyncExitStack() as stack:
            planned = with_overlays(planned, self._headers(planned, overlays))
            if planned.plan is None:
                await self._verify(image)
                path = await stack.enter_async_context(image.local())
                result = Result.from_file(path, _ORIGINAL)
            else:
                try:
                    result = await self._shared(_Job(image, overlays, planned.plan, planned))
                except Unavailable:
                    await _confirm(image, *overlays)
                    raise
            if image.is_old:
                await _confirm(image, *overlays)
                spans.lap("source")
        return result

    def _headers(self, planned: Planned, overlays: Sequence[SourceImage]) -> dict[str, Header]:
        headers = {image_id: image.header for image_id, image in zip(planned.overlays, overlays, strict=True)}
        for image_id, header in headers.items():
            try:
                self._check(header)
            except UnprocessableImage as error:
                raise UnprocessableImage(f"the overlay {image_id}: {error.detail}") from error
        return headers

    def _check(self, header: Header) -> None:
        """Check a stored header again: it may be from a time with other limits."""
        self._input_limits.check_size(header.width, header.height)
        self._input_limits.check_bands(header.bands)

    async def _verify(self, image: SourceImage) -> None:
        """Decode the whole file once. Raises UnprocessableImage if it is damaged."""
        if image.sha256 in self._verified:
            return
        planned = verification(image.header, image.sha256, self._limits)
        assert planned.plan
        try:
            await self._shared(_Job(image, (), planned.plan, planned))
        except Unavailable:
            await _confirm(image)
            raise
        self._verified[image.sha256] = True

    async def _shared(self, job: _Job) -> Result:
        key = job.planned.key
        first = key not in self._flights
        try:
            result = await self._flights.join(key, lambda: self._begin(job))
        except DeadlinePassed as error:
            spans.lap("render", queue=error.queued)
            raise
        except Exception:
            spans.lap("render")
            raise
        _lap(result.timings, first=first)
        if not first:
            RESULTS.labels("shared").inc()
        return result

    def _begin(self, job: _Job) -> asyncio.Task[Result]:
        """Start a render. It keeps its images, since the request that named them may end before those that join."""
        claims = contextlib.ExitStack()
        for image in (job.image, *job.overlays):
            claims.enter_context(image.claim())
        task = asyncio.create_task(self._find_or_render(job))
        task.add_done_callback(lambda _: claims.close())
        return task

    async def _find_or_render(self, job: _Job) -> Result:
        key = job.planned.key
        found = await self._found(key)
        if found:
            return found
        async with self._cache.alone(key) as others:
            if others is not None:
                RESULTS.labels("waited").inc()
                return Result.in_memory(others, _WAITED)
            RESULTS.labels("miss").inc()
            return await self._render_and_keep(job)

    async def _found(self, key: str) -> Result | None:
        try:
            cached = await self._cache.find(key)
        except UnprocessableImage:
            RESULTS.labels("refused").inc()
            raise
        if cached is None:
            return None
        RESULTS.labels("hit").inc()
        return Result.in_memory(cached, _HIT)

    async def _render_and_keep(self, job: _Job) -> Result:
        try:
            result = await self._render(job)
        except Quarantined:
            raise
        except UnprocessableImage as error:
            await self._cache.keep_failure(job.planned.key, error, job.image.sha256)
            raise
        if result.body is not None:
            await self._cache.keep(job.planned.key, result.body, job.image.sha256)
        return result

    async def _render(self, job: _Job) -> Result:
        levels = job.image.levels
        start = from_level(job.plan, levels.there) if levels else None
        if levels is None or start is None:
            return await self._render_original(job)
        plan, level = start
        try:
            async with levels.local(level) as path:
                planned = replace(job.planned, plan=plan, cost=estimate(plan))
                result = await self._run(job, planned, RenderSource(path, level.sha256))
        except (LevelLost, UnprocessableImage):  # the original tells whether the level or the chain is to blame
            result = await self._render_original(job)
            self._levels.replace(job.image, level)
        else:
            LEVELS.labels("used").inc()
        return result

    async def _render_original(self, job: _Job) -> Result:
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

    def _making(self, job: _Job, sides: Sequence[int]) -> Planned | None:
        """The plan that makes these levels on the way; None if that would take much longer, or too much memory."""
        cost = job.planned.cost.plus(making_cost(job.plan.header, sides))
        worth = can_make_levels(job.plan) and cost.heavy == job.planned.cost.heavy and self._renderers.fits(cost)
        return replace(job.planned, cost=cost, key=f"{job.planned.key} with levels") if worth else None

    async def _run_and_make(self, job: _Job, planned: Planned, source: RenderSource, sides: Sequence[int]) -> Result:
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

    def _lacks_levels(self, job: _Job) -> Sequence[int]:
        """The levels that the image lacks, if this plan could have started from one of them."""
        levels = job.image.levels
        if levels is None or not self._levels.may_make(job.image.sha256):
            return ()
        lacks = missing(job.plan.header, levels.there)
        return lacks if level_for(job.plan) in lacks else ()

    async def _run(
        self, job: _Job, planned: Planned, source: RenderSource, levels: Mapping[int, Path] = NO_LEVELS
    ) -> Result:
        output = self._spool.new_path()
        try:
            async with contextlib.AsyncExitStack() as stack:
                overlays = {
                    image_id: RenderSource(await stack.enter_async_context(overlay.local()), overlay.sha256)
                    for image_id, overlay in zip(job.plan.overlays, job.overlays, strict=True)
                }
                RENDERS.inc()
                started = time.perf_counter()
                report = await self._renderers.render(source, planned, overlays, output, levels=levels)
            queue = time.perf_counter() - started - report.render - report.encode
            timings = Timings(
                "miss", queue, report.render, report.encode, level=planned.plan is not None and planned.plan.level
            )
            if output.stat().st_size <= self._entry_bytes:
                # Not in a thread, which would take longer: the file was just written, so it is still in memory.
                return Result.in_memory(output.read_bytes(), timings)
            return Result.from_file(output, timings)
        finally:
            output.unlink(missing_ok=True)


def _lap(timings: Timings, *, first: bool) -> None:
    """End a lap under the span that fits the origin of the result."""
    if not first or timings.source == "waited":
        spans.lap("wait")
    elif timings.source == "hit":
        spans.lap("cache")
    else:
        spans.lap("cache", queue=timings.queue, render=timings.render, encode=timings.encode)


async def _confirm(*images: SourceImage) -> None:
    """Raise Gone if one of the images that a result shows has been deleted."""
    await asyncio.gather(*(image.confirm() for image in images))
