"""The renderer processes: a bounded queue in front of them, a deadline on each job."""

from collections.abc import Mapping
from pathlib import Path

from service_kit.images import Header
from service_kit.workers import WorkerPool
from transform_service.planner import Plan
from transform_service.rendered import Rendered
from transform_service.settings import TransformSettings

PRELOAD = "transform_service.renderer"
"""What the fork server imports for these workers."""


class RenderPool:
    """Renders and reads headers, each in a process that may crash or be killed."""

    def __init__(self, settings: TransformSettings) -> None:
        self._settings = settings
        self._workers = WorkerPool(
            settings.renderers,
            initializer=_initialize,
            queue=settings.render_queue,
            max_jobs=settings.renderer_jobs,
        )

    async def start(self) -> None:
        """Start the renderers."""
        await self._workers.start()

    async def close(self) -> None:
        """End the renderers."""
        await self._workers.close()

    @property
    def pids(self) -> set[int]:
        """The processes that live now."""
        return self._workers.pids

    async def render(self, source: Path, plan: Plan, overlays: Mapping[str, Path], output: Path) -> Rendered:
        """See transform_service.renderer.render; Unavailable when the queue is full or the deadline passes."""
        return await self._workers.run(_render, source, plan, overlays, output, seconds=self._settings.render_seconds)

    async def read_header(self, path: Path, page: int = 0) -> Header:
        """See service_kit.vips.read_header."""
        settings = self._settings
        return await self._workers.run(
            _read_header, path, settings.max_pixels, settings.max_frames, page, seconds=settings.render_seconds
        )


def _initialize() -> None:
    from transform_service import renderer  # noqa: PLC0415  # libvips is loaded in renderers only

    renderer.initialize()


def _render(source: Path, plan: Plan, overlays: Mapping[str, Path], output: Path) -> Rendered:
    from transform_service import renderer  # noqa: PLC0415

    return renderer.render(source, plan, overlays, output)


def _read_header(path: Path, max_pixels: int, max_frames: int, page: int) -> Header:
    from transform_service import renderer  # noqa: PLC0415

    return renderer.read_header(path, max_pixels, max_frames, page)
