"""The use case of transforming: plan, look into the cache, render once, keep the result."""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from service_kit.errors import Unavailable, UnprocessableImage
from service_kit.formats import Format
from service_kit.quarantine import Quarantined
from service_kit.spans import Spans
from service_kit.spool import Spool
from service_kit.worker_pool import DeadlinePassed
from transform_service.metrics import RENDERS, RESULTS
from transform_service.operations.base import Steps
from transform_service.plan import OutputLimits, Planned
from transform_service.planner import page_number, plan
from transform_service.render_pool import RenderPool, RenderSource
from transform_service.rendition import Rendition, Timings
from transform_service.result_cache import ResultCache
from transform_service.settings import TransformSettings
from transform_service.sources.base import Source, SourceKind

_HIT, _WAITED = Timings("hit"), Timings("waited")


@dataclass(eq=False, slots=True)
class _Flight:
    """One render, and how many wait for it."""

    task: asyncio.Task[Rendition]
    waiting: int = 0


class Transformer:
    """Equal requests at the same time share one render; equal requests later find its result."""

    def __init__(
        self, settings: TransformSettings, pool: RenderPool, cache: ResultCache, spool: Spool, stored: SourceKind
    ) -> None:
        """`stored` finds the images that operations name."""
        self._limits = OutputLimits(settings.max_pixels, settings.max_output_side)
        self._entry_bytes = settings.result_cache_entry_bytes
        self._pool = pool
        self._cache = cache
        self._spool = spool
        self._stored = stored
        self._flights: dict[str, _Flight] = {}

    async def plan(self, source: Source, operations: Steps, output: Format) -> Planned:
        """The plan and its key, from header facts alone."""
        page = page_number(operations)
        header = source.header
        if page and page < header.frames and not header.kind.animated:  # pages of a TIFF differ in size
            async with source.local() as path:
                read = await self._pool.read_header(RenderSource(path, source.sha256), page)
                header = read.model_copy(update={"frames": header.frames})
        return plan(operations, output, header, source.sha256, self._limits)

    async def render(self, source: Source, planned: Planned, spans: Spans) -> Rendition:
        """The result of a plan, from the cache, from a render that is under way, or from a new one.

        When the last of those who wait for it are gone, the render is given up. Raises Gone when the image was deleted
        meanwhile: what is deleted is served for no longer than a second.
        """
        async with contextlib.AsyncExitStack() as stack:
            # Overlays as well: one may have been deleted since a result that is there was made.
            overlays = [await stack.enter_async_context(self._stored.open(each)) for each in planned.plan.overlays]
            try:
                rendition = await self._shared(source, planned, spans)
            except Unavailable:
                await _confirm(source, *overlays)
                raise
            if source.is_old:
                await _confirm(source, *overlays)
                spans.lap("source")
        return rendition

    async def _shared(self, source: Source, planned: Planned, spans: Spans) -> Rendition:
        flight = self._flights.get(planned.key)
        first = flight is None
        if flight is None:
            flight = self._flights[planned.key] = _Flight(asyncio.create_task(self._find_or_render(source, planned)))
            flight.task.add_done_callback(lambda _: self._land(planned.key, flight))
        flight.waiting += 1
        try:
            rendition = await asyncio.shield(flight.task)
            timings = rendition.timings
            if not first or timings.source == "waited":
                spans.lap("wait")
            elif timings.source == "hit":
                spans.lap("cache")
            else:
                spans.lap("cache", queue=timings.queue, render=timings.render, encode=timings.encode)
            if not first:
                RESULTS.labels("shared").inc()
            return rendition  # noqa: TRY300
        except DeadlinePassed as error:
            spans.lap("render", queue=error.queued)
            raise
        except Exception:
            spans.lap("render")
            raise
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._land(planned.key, flight)
                flight.task.cancel()

    def _land(self, key: str, flight: "_Flight") -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _find_or_render(self, source: Source, planned: Planned) -> Rendition:
        found = await self._found(planned.key)
        if found:
            return found
        async with self._cache.alone(planned.key) as others:
            if others is not None:
                RESULTS.labels("waited").inc()
                return Rendition.in_memory(others, _WAITED)
            RESULTS.labels("miss").inc()
            return await self._render_and_keep(source, planned)

    async def _found(self, key: str) -> Rendition | None:
        try:
            cached = await self._cache.find(key)
        except UnprocessableImage:
            RESULTS.labels("refused").inc()
            raise
        if cached is None:
            return None
        RESULTS.labels("hit").inc()
        return Rendition.in_memory(cached, _HIT)

    async def _render_and_keep(self, source: Source, planned: Planned) -> Rendition:
        try:
            rendition = await self._render(source, planned)
        except Quarantined:
            raise
        except UnprocessableImage as error:
            await self._cache.keep_failure(planned.key, error, source.sha256)
            raise
        if rendition.body is not None:
            await self._cache.keep(planned.key, rendition.body, source.sha256)
        return rendition

    async def _render(self, source: Source, planned: Planned) -> Rendition:
        output = self._spool.new_path()
        try:
            async with contextlib.AsyncExitStack() as stack:
                path = await stack.enter_async_context(source.local())
                overlays = {
                    image_id: await self._overlay(image_id, stack) for image_id in dict.fromkeys(planned.plan.overlays)
                }
                RENDERS.inc()
                started = time.perf_counter()
                rendered = await self._pool.render(
                    RenderSource(path, source.sha256), planned.plan, planned.cost, overlays, output
                )
            queue = time.perf_counter() - started - rendered.render - rendered.encode
            timings = Timings("miss", queue, rendered.render, rendered.encode)
            if rendered.bytes <= self._entry_bytes:
                # Not in a thread: it was written a moment ago, so it is in memory, and a thread takes longer than that.
                return Rendition.in_memory(output.read_bytes(), timings)
            return Rendition.from_file(output, timings)
        finally:
            output.unlink(missing_ok=True)

    async def _overlay(self, image_id: str, stack: contextlib.AsyncExitStack) -> Path:
        source = await stack.enter_async_context(self._stored.open(image_id))
        return await stack.enter_async_context(source.local())


async def _confirm(*shown: Source) -> None:
    """Raises Gone where one of the images that a result shows was deleted meanwhile."""
    await asyncio.gather(*(source.confirm() for source in shown))
