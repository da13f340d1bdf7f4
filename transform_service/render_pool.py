"""The renderer processes: admission in front of them, a deadline on each job, and what crashed them shut out."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from service_kit.images import Header
from service_kit.memory import available_memory, resident_bytes
from service_kit.quarantine import Quarantine
from service_kit.worker import Hooks
from service_kit.worker_pool import DeadlinePassed, End, WorkerPool
from transform_service.admission import Admission
from transform_service.metrics import DEADLINES, RENDERER_ENDS, RENDERERS, RENDERERS_EXPECTED, RENDERERS_MEMORY
from transform_service.plan import Cost, Plan
from transform_service.rendered import Rendered
from transform_service.settings import TransformSettings

PRELOAD = "transform_service.renderer"
"""What the fork server imports for these workers."""

T = TypeVar("T")
_NICENESS, _MORE_FOR_HEAVY = 5, 5
"""Renderers yield to who speaks HTTP: refusals, cached results and health are answered while all cores render. And the
one that has small work alone is not held up by those that may have heavy work."""
_UNBOUND = 10_000
"""The queue is admission's."""
_SHARE = 0.65
"""Of the memory there is, what renders may take; the rest is for the processes themselves, results and the system."""
_READING = Cost(0.003, 4 * 1024**2)
"""Of a header."""


@dataclass(frozen=True, slots=True)
class RenderSource:
    """The file to render from, and the hash of its content."""

    path: Path
    sha256: str


class RenderPool:
    """Renders and reads headers, each in a process that may crash or be killed.

    There is a process more than RENDERERS, for small work alone: see admission.
    """

    def __init__(self, settings: TransformSettings) -> None:
        self._settings = settings
        self._workers = WorkerPool(
            settings.renderers,
            hooks=Hooks(_initialize_for_any, _idle),
            queue=_UNBOUND,
            max_jobs=settings.renderer_jobs,
            on_end=_count_end,
        )
        self._small_worker = WorkerPool(
            1, hooks=Hooks(_initialize, _idle), queue=_UNBOUND, max_jobs=settings.renderer_jobs, on_end=_count_end
        )
        self._admission = Admission(
            slots=settings.renderers,
            memory=settings.render_memory_bytes or int(available_memory() * _SHARE),
            queue=settings.render_queue,
            seconds=settings.render_queue_seconds or settings.render_seconds / 2,
        )
        self._quarantine = Quarantine()

    async def start(self) -> None:
        """Start the renderers."""
        await asyncio.gather(self._workers.start(), self._small_worker.start())

    async def close(self) -> None:
        """End the renderers."""
        await asyncio.gather(self._workers.close(), self._small_worker.close())

    @property
    def pids(self) -> set[int]:
        """The processes that live now."""
        return self._workers.pids | self._small_worker.pids

    def observe(self) -> None:
        """Bring the gauges up to date."""
        self._admission.observe()
        pids = self.pids
        RENDERERS.set(len(pids))
        RENDERERS_EXPECTED.set(self._settings.renderers + 1)
        RENDERERS_MEMORY.set(sum(map(resident_bytes, pids)))

    async def render(
        self, source: RenderSource, plan: Plan, cost: Cost, overlays: Mapping[str, Path], output: Path
    ) -> Rendered:
        """See transform_service.renderer.render, admission.Admission and quarantine.Quarantine for what it raises.

        DeadlinePassed when waiting and working take longer than allowed. A cancelled call kills its renderer.
        """
        return await self._run(source, cost, _render, source.path, plan, overlays, output)

    async def read_header(self, source: RenderSource, page: int = 0) -> Header:
        """See service_kit.vips.read_header."""
        settings = self._settings
        return await self._run(
            source, _READING, _read_header, source.path, settings.max_pixels, settings.max_frames, page
        )

    async def _run(self, source: RenderSource, cost: Cost, function: Callable[..., T], *arguments: object) -> T:
        seconds = self._settings.render_seconds
        asked, admitted = time.perf_counter(), None
        try:
            with self._quarantine.watch(source.sha256):
                async with asyncio.timeout(seconds), self._admission.admitted(cost):
                    admitted = time.perf_counter()
                    return await self._pool_for(cost).run(function, *arguments)
        except TimeoutError as error:
            DEADLINES.inc()
            queued = (admitted or time.perf_counter()) - asked
            text = f"the image was not done within {seconds:g} s; ask for less work, or later"
            raise DeadlinePassed(text, queued) from error

    def _pool_for(self, cost: Cost) -> WorkerPool:
        return self._workers if cost.heavy or not self._small_worker.idle else self._small_worker


def _count_end(end: End) -> None:
    RENDERER_ENDS.labels(end).inc()


def _initialize_for_any() -> None:
    os.nice(_MORE_FOR_HEAVY)
    _initialize()


def _initialize() -> None:
    from transform_service import renderer  # noqa: PLC0415  # libvips is loaded in renderers only

    os.nice(_NICENESS)
    renderer.initialize()


def _idle() -> None:
    from service_kit import vips  # noqa: PLC0415

    vips.release_memory()


def _render(source: Path, plan: Plan, overlays: Mapping[str, Path], output: Path) -> Rendered:
    from transform_service import renderer  # noqa: PLC0415

    return renderer.render(source, plan, overlays, output)


def _read_header(path: Path, max_pixels: int, max_frames: int, page: int) -> Header:
    from transform_service import renderer  # noqa: PLC0415

    return renderer.read_header(path, max_pixels, max_frames, page)
