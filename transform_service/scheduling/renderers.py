"""The renderers, with admission in front of them, a deadline for each job, and a quarantine."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from imaging.encoding import Encoding
from imaging.formats import InputLimits, by_extension
from imaging.geometry import Box
from imaging.header import Header
from imaging.looks import Look
from imaging.tasks import LOCK_DOWN, LOOK, READ_HEADER, READ_HEADER_BYTES, RELEASE_MEMORY
from service_kit.errors import GatewayTimeout, ServiceError, Unavailable
from service_kit.processes.memory import available_memory, resident_bytes
from service_kit.processes.pool import DeadlinePassed, End, WorkerPool
from service_kit.processes.quarantine import Quarantine, is_crash
from service_kit.processes.worker import Setup, Task
from transform_service.metrics import DEADLINES, RENDERER_ENDS, RENDERERS, RENDERERS_EXPECTED, RENDERERS_MEMORY
from transform_service.operations.resize import Resize
from transform_service.planning.cost import estimate
from transform_service.planning.plan import Cost, Plan, Planned, RenderReport, Step
from transform_service.scheduling.admission import Admission
from transform_service.settings import TransformSettings

RENDER: Task[RenderReport] = Task("transform_service.rendering.renderer", "render", returns=RenderReport)

MAKE_LEVELS: Task[None] = Task("transform_service.rendering.levels", "make_levels")

T = TypeVar("T")
_NICENESS, _NICENESS_FOR_HEAVY, _NICENESS_WHEN_IDLE = 5, 10, 19
"""Renderers yield to the process that handles HTTP, so that it can refuse requests and send cached results and health
checks while all cores render. The renderer for small renders takes precedence over those that may run heavy ones."""
_UNBOUND = 10_000
"""The pools need no limit on their queue: admission has one."""
_SHARE = 0.65
"""The share of the available memory for renders. The rest is for the processes, for results and for the system."""
_MARGIN = 64 * 1024**2
"""The memory that a render may take beyond its estimate: threads, libraries, and what the previous render left."""
_IDLE_SECONDS = 6
"""Idle work may take this many times longer than a render: it gets what others leave of the cores."""
_READING = Cost(0.003, 4 * 1024**2)
"""The cost of reading a header."""
_LOOKING = Cost(0.02, 8 * 1024**2)
"""The cost of looking at 64 x 64 pixels."""
_SMALL = Resize(box=Box(16, 16))
NO_LEVELS: Mapping[int, Path] = {}
_GLANCE = (Step(_SMALL, buffered=False),)
"""Reads all pixels, so that they are decoded, and leaves almost nothing to encode."""


@dataclass(frozen=True, slots=True)
class RenderSource:
    """The file to render from, and the hash of its content."""

    path: Path
    sha256: str


class LocalImage(Protocol):
    """An image that becomes a local file when it is needed."""

    @property
    def sha256(self) -> str:
        """The hash of its content."""

    @property
    def local(self) -> Callable[[], AbstractAsyncContextManager[Path]]:
        """Opens a context in which it is a local file."""


class Renderers:
    """Runs plans and reads headers, in processes that may crash or be killed.

    There are two processes more than RENDERERS: one for small renders only, and one for idle work; see admission.py.
    """

    def __init__(self, settings: TransformSettings) -> None:
        self._settings = settings
        self._limits = InputLimits(settings.max_pixels, settings.max_frames, settings.max_input_side)
        memory = settings.render_memory_bytes or int(available_memory() * _SHARE)
        self._any = _pool(settings.renderers, _NICENESS_FOR_HEAVY, memory, settings)
        self._small = _pool(1, _NICENESS, memory, settings)
        self._idle = _pool(1, _NICENESS_WHEN_IDLE, memory, settings)
        self._admission = Admission(
            slots=settings.renderers,
            memory=memory,
            queue=settings.render_queue,
            seconds=settings.render_queue_seconds or settings.render_seconds / 2,
        )
        self._quarantine = Quarantine()

    @property
    def _pools(self) -> tuple[WorkerPool, ...]:
        return self._any, self._small, self._idle

    async def start(self) -> None:
        """Start the renderers."""
        await asyncio.gather(*(pool.start() for pool in self._pools))

    async def close(self) -> None:
        """Stop the renderers."""
        await asyncio.gather(*(pool.close() for pool in self._pools))

    @property
    def pids(self) -> set[int]:
        """The process IDs of all renderers."""
        return set[int]().union(*(pool.pids for pool in self._pools))

    def fits(self, cost: Cost) -> bool:
        """Whether the memory limit allows a render with this cost."""
        return self._admission.fits(cost)

    def observe(self) -> None:
        """Update the gauges."""
        self._admission.observe()
        pids = self.pids
        RENDERERS.set(len(pids))
        RENDERERS_EXPECTED.set(self._settings.renderers + 2)
        RENDERERS_MEMORY.set(sum(map(resident_bytes, pids)))

    async def render(
        self,
        source: RenderSource,
        planned: Planned,
        overlays: Mapping[str, RenderSource],
        output: Path,
        *,
        levels: Mapping[int, Path] = NO_LEVELS,
    ) -> RenderReport:
        """Run a plan. Raises the errors of rendering/renderer.py, Admission and Quarantine.

        `levels` are new files for levels to make on the way, by side. Their cost is in that of the plan.

        Raises DeadlinePassed if waiting and rendering take longer than RENDER_SECONDS. A cancelled call kills its
        renderer. A crash counts against an image or an overlay only if its decoder crashes alone (docs/adr/0048).
        """
        plan, started = planned.plan, time.perf_counter()
        assert plan
        decoding_only = not plan.steps
        self._quarantine.check(source.sha256)
        for overlay in overlays.values():
            self._quarantine.check(overlay.sha256, "an overlay crashed its decoder")
        blamed = (source.sha256,) if decoding_only else (planned.key, "this transformation crashed its process")
        try:
            with self._quarantine.watch(*blamed):
                return await self._render(source, planned, overlays, output, levels=levels)
        except ServiceError as error:
            if is_crash(error) and not decoding_only:
                await self._find_culprit(source, plan, overlays, output, started)
            raise

    async def read_header(self, source: RenderSource, page: int = 0) -> Header:
        """Read the header of an image, or of one `page` of it. Raises the errors of `read_header` (imaging.pixels)."""
        with self._quarantine.watch(source.sha256), _opened(source.path) as file:
            header = await self._run(_READING, READ_HEADER, file, self._limits, page, memory=READ_HEADER_BYTES)
        header.check(self._limits)  # again: a decoder that was taken over may say anything
        return header

    async def _render(
        self,
        source: RenderSource,
        planned: Planned,
        overlays: Mapping[str, RenderSource],
        output: Path,
        *,
        levels: Mapping[int, Path] = NO_LEVELS,
        spent: float = 0.0,
    ) -> RenderReport:
        plan, cost = planned.plan, planned.cost
        with ExitStack() as files:
            image = files.enter_context(_opened(source.path))
            marks = {image_id: files.enter_context(_opened(each.path)) for image_id, each in overlays.items()}
            target = files.enter_context(output.open("x+b", buffering=0))
            made = _created(levels, files)
            arguments = (image, plan, marks, target, made)
            return await self._run(cost, RENDER, *arguments, memory=cost.bytes + _MARGIN, spent=spent)

    async def make_levels(self, image: LocalImage, header: Header, cost: Cost, levels: Mapping[int, Path]) -> None:
        """Write levels of an image to new files, by side, when nobody needs the cores. Raises the errors of `render`.

        Also Preempted, if a render needs the memory, and GatewayTimeout. A cancelled call kills its process.
        """
        self._quarantine.check(image.sha256)
        async with self._admission.idle(cost), image.local() as path:
            with self._quarantine.watch(f"levels of {image.sha256}"), ExitStack() as files:
                file = files.enter_context(_opened(path))
                await self._run_idle(cost, MAKE_LEVELS, file, header, _created(levels, files))

    async def look(self, png: Path) -> Look:
        """What a small PNG looks like, when nobody needs the cores. Raises the errors of `make_levels`."""
        async with self._admission.idle(_LOOKING):
            with _opened(png) as file:
                return await self._run_idle(_LOOKING, LOOK, file)

    async def render_when_idle(
        self, source: RenderSource, planned: Planned, overlays: Mapping[str, RenderSource], output: Path
    ) -> RenderReport:
        """Run a plan when nobody needs the cores. Raises the errors of `make_levels`."""
        plan, cost = planned.plan, planned.cost
        assert plan
        for each in (source, *overlays.values()):
            self._quarantine.check(each.sha256)
        async with self._admission.idle(cost):
            with self._quarantine.watch(planned.key, "this transformation crashed its process"), ExitStack() as files:
                image = files.enter_context(_opened(source.path))
                marks = {image_id: files.enter_context(_opened(each.path)) for image_id, each in overlays.items()}
                target = files.enter_context(output.open("x+b", buffering=0))
                return await self._run_idle(cost, RENDER, image, plan, marks, target, {})

    async def _run_idle(self, cost: Cost, task: Task[T], *arguments: object) -> T:
        seconds = _IDLE_SECONDS * self._settings.render_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._idle.run(task, *arguments, memory=cost.bytes + _MARGIN)
        except TimeoutError as error:
            raise GatewayTimeout(f"idle work did not finish within {seconds:g} s") from error

    async def _find_culprit(
        self, source: RenderSource, plan: Plan, overlays: Mapping[str, RenderSource], output: Path, started: float
    ) -> None:
        """After a crash, decode each image of a plan alone, as the plan does. One that crashes again is to blame."""
        alone = replace(
            plan, steps=_GLANCE, encoding=Encoding(by_extension("png")), unchanged=False, overlay_headers={}
        )
        looks = [(source, alone)]
        for image_id, header in plan.overlay_headers.items():
            looks.append((overlays[image_id], replace(alone, header=header, load=_SMALL, steps=(), page=0, frames=1)))
        for image, look in looks:
            output.unlink(missing_ok=True)  # noqa: ASYNC240  # as quick as the opening of files in _render
            spent = time.perf_counter() - started
            with suppress(ServiceError), self._quarantine.watch(image.sha256):
                await self._render(image, Planned(look, image.sha256, estimate(look)), {}, output, spent=spent)

    async def _run(self, cost: Cost, task: Task[T], *arguments: object, memory: int, spent: float = 0.0) -> T:
        seconds = self._settings.render_seconds
        asked, admitted = time.perf_counter(), None
        try:
            async with asyncio.timeout(seconds - spent), self._admission.admitted(cost):
                admitted = time.perf_counter()
                return await self._pool_for(cost).run(task, *arguments, memory=memory)
        except TimeoutError as error:
            DEADLINES.inc()
            queued = (admitted or time.perf_counter()) - asked
            text = f"rendering did not finish within {seconds:g} s; simplify the chain or retry later"
            raise DeadlinePassed(text, queued) from error

    def _pool_for(self, cost: Cost) -> WorkerPool:
        return self._any if cost.heavy or not self._small.idle else self._small


def _created(levels: Mapping[int, Path], files: ExitStack) -> dict[int, BinaryIO]:
    return {side: files.enter_context(path.open("x+b", buffering=0)) for side, path in levels.items()}


def _opened(path: Path) -> BinaryIO:
    """Open a source, so that its bytes stay until they are decoded. Raises Unavailable if they have disappeared."""
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError as error:
        raise Unavailable(
            "the bytes of the image disappeared during the request; retry, unless the image was just deleted"
        ) from error


def _pool(size: int, niceness: int, memory: int, settings: TransformSettings) -> WorkerPool:
    return WorkerPool(
        size,
        setup=Setup(
            LOCK_DOWN,
            (READ_HEADER, RENDER, MAKE_LEVELS, LOOK),
            RELEASE_MEMORY,
            niceness,
            settings.sandbox,
            most_memory=memory + 4 * _MARGIN,
        ),
        queue=_UNBOUND,
        max_jobs=settings.renderer_jobs,
        on_end=_count_end,
    )


def _count_end(end: End) -> None:
    RENDERER_ENDS.labels(end).inc()
