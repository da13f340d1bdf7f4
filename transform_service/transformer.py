"""The use case of transforming: plan, look into the cache, render once, keep the result."""

import asyncio
import time

from service_kit.formats import Format
from service_kit.spool import Spool
from transform_service.operations.base import Operation
from transform_service.planner import OutputLimits, Planned, plan
from transform_service.render_pool import RenderPool
from transform_service.rendition import Rendition, Timings
from transform_service.result_cache import ResultCache
from transform_service.settings import TransformSettings
from transform_service.sources.base import Source


class Transformer:
    """Equal requests at the same time share one render; equal requests later find its result."""

    def __init__(self, settings: TransformSettings, pool: RenderPool, cache: ResultCache, spool: Spool) -> None:
        self._limits = OutputLimits(settings.max_pixels, settings.max_output_side)
        self._entry_bytes = settings.result_cache_entry_bytes
        self._pool = pool
        self._cache = cache
        self._spool = spool
        self._flights: dict[str, asyncio.Task[Rendition]] = {}

    def plan(self, source: Source, operations: tuple[Operation, ...], output: Format) -> Planned:
        """The plan and its key, from header facts alone."""
        return plan(operations, output, source.header, source.sha256, self._limits)

    async def render(self, source: Source, planned: Planned) -> Rendition:
        """The result of a plan, from the cache, from a render that is under way, or from a new one."""
        flight = self._flights.get(planned.key)
        if flight is None:
            flight = asyncio.create_task(self._find_or_render(source, planned))
            self._flights[planned.key] = flight
            flight.add_done_callback(lambda _: self._flights.pop(planned.key))
        return await asyncio.shield(flight)

    async def _find_or_render(self, source: Source, planned: Planned) -> Rendition:
        cached = await self._cache.get(planned.key)
        if cached is not None:
            return Rendition.in_memory(cached)
        rendition = await self._render(source, planned)
        if rendition.body is not None:
            await self._cache.put(planned.key, rendition.body)
        return rendition

    async def _render(self, source: Source, planned: Planned) -> Rendition:
        output = self._spool.new_path()
        try:
            async with source.local() as path:
                started = time.perf_counter()
                rendered = await self._pool.render(path, planned.plan, output)
            timings = Timings(time.perf_counter() - started - rendered.seconds, rendered.seconds)
            if rendered.bytes <= self._entry_bytes:
                return Rendition.in_memory(await asyncio.to_thread(output.read_bytes), timings)
            return Rendition.from_file(output, timings)
        finally:
            output.unlink(missing_ok=True)
