"""Makes levels that renders have missed, when nobody needs the cores, and stores them. Nobody waits for that."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cachetools import TTLCache

from imaging.levels import Level
from service_kit.errors import ServiceError, Unavailable, UnprocessableImage
from service_kit.spool import Spool
from transform_service.metrics import LEVELS
from transform_service.planning.levels import making_cost, missing
from transform_service.planning.plan import Cost, OutputLimits
from transform_service.planning.planner import verification
from transform_service.scheduling.admission import Preempted
from transform_service.scheduling.renderers import Renderers
from transform_service.sources.base import SourceImage, StoredLevels

_MOST = 1000
"""Images that wait for their levels. Others are left out: a later render misses the level again."""
_MOST_WITH_JOBS = 4
"""Images whose levels are being made, above which no job is accepted: each waits where it can be lost."""
_STORED_AT_ONCE = 2
"""Images whose levels are in memory on their way to storage."""
_FAILED, _AGAIN_SECONDS = 10_000, 600.0
"""Contents of which no level could be made or stored, and how long they are left alone."""

logger = logging.getLogger(__name__)


class LevelMaker:
    """Levels that are being made and stored."""

    def __init__(self, renderers: Renderers, spool: Spool, limits: OutputLimits) -> None:
        self._renderers = renderers
        self._spool = spool
        self._limits = limits
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """By the SHA-256 of the image."""
        self._claimed: set[str] = set()
        """The SHA-256 of each image whose levels a render makes on its way."""
        self._storing = asyncio.Semaphore(_STORED_AT_ONCE)
        self._failed: TTLCache[str, bool] = TTLCache(_FAILED, _AGAIN_SECONDS)

    def may_make(self, sha256: str) -> bool:
        """Whether levels of this content can be made now: nobody makes them, and they have not failed lately."""
        busy = sha256 in self._tasks or sha256 in self._claimed
        return len(self._tasks) < _MOST and not busy and sha256 not in self._failed

    @contextmanager
    def claimed(self, sha256: str) -> Iterator[None]:
        """A context in which nobody else makes levels of this content."""
        self._claimed.add(sha256)
        try:
            yield
        finally:
            self._claimed.discard(sha256)

    def make_soon(self, image: SourceImage) -> None:
        """Make and store all levels that an image lacks."""
        levels = image.levels
        if levels is not None and self.may_make(image.sha256):
            self._begin(image.sha256, lambda: self._make(image, levels))

    async def complete(self, image: SourceImage) -> None:
        """Make and store all levels that an image lacks, and wait for that. Raises what keeps it from succeeding.

        That is Unavailable while many others wait. If the caller is cancelled, the work goes on.
        """
        levels = image.levels
        if levels is None or not missing(image.header, levels.there):
            return
        task = self._tasks.get(image.sha256)
        if task is None:
            if len(self._tasks) >= _MOST_WITH_JOBS:
                raise Unavailable("the levels of many other images are being made")
            task = self._begin(image.sha256, lambda: self._make(image, levels))
        await asyncio.shield(task)

    def give_up(self, sha256: str) -> None:
        """Leave a content alone for a while, whose levels could not be made on the way."""
        self._failed[sha256] = True
        LEVELS.labels("failed").inc()

    def keep(self, image: SourceImage, files: Mapping[int, Path]) -> None:
        """Store levels that a render has made on its way, and remove the files."""
        levels = image.levels
        if levels is None or not self.may_make(image.sha256):
            remove(files)
            return
        self._begin(image.sha256, lambda: self._store(levels, files)).add_done_callback(lambda _: remove(files))

    def replace(self, image: SourceImage, lost: Level) -> None:
        """Remove a level that is lost or damaged, then make it again."""
        levels = image.levels
        if levels is None or not self.may_make(image.sha256):
            return
        LEVELS.labels("lost").inc()
        logger.warning("the level of %d pixels of image %s is lost or damaged", lost.side, image.image_id)

        async def replaced() -> None:
            await levels.drop(lost)
            await self._make(image, levels, lost.side)

        self._begin(image.sha256, replaced)

    async def close(self) -> None:
        """Stop making levels."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def new_files(self, sides: Sequence[int]) -> dict[int, Path]:
        """Paths for new levels, by side."""
        return {side: self._spool.new_path() for side in sides}

    def _begin(self, sha256: str, work: Callable[[], Coroutine[None, None, None]]) -> asyncio.Task[None]:
        task = self._tasks[sha256] = asyncio.create_task(work())
        task.add_done_callback(lambda _: self._ended(sha256, task))
        return task

    def _ended(self, sha256: str, task: asyncio.Task[None]) -> None:
        del self._tasks[sha256]
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self._failed[sha256] = True
        LEVELS.labels("failed").inc()
        bug = not isinstance(error, ServiceError | OSError)
        logger.log(
            logging.ERROR if bug else logging.INFO,
            "no levels of the content %.12s were stored: %s",
            *(sha256, error),
            exc_info=error if bug else None,
        )

    async def _make(self, image: SourceImage, levels: StoredLevels, *lost: int) -> None:
        sides = missing(image.header, [level for level in levels.there if level.side not in lost])
        cost = verification(image.header, image.sha256, self._limits).cost.plus(making_cost(image.header, sides))
        if not self._renderers.fits(cost):
            raise UnprocessableImage(f"making its levels takes about {cost.bytes >> 20} MiB, more than renders may")
        files = self.new_files(sides)
        try:
            await self._make_patiently(image, cost, files)
            await self._store(levels, files)
        finally:
            remove(files)

    async def _make_patiently(self, image: SourceImage, cost: Cost, files: Mapping[int, Path]) -> None:
        while True:
            try:
                await self._renderers.make_levels(image, image.header, cost, files)
            except Preempted:
                remove(files)
            else:
                return

    async def _store(self, levels: StoredLevels, files: Mapping[int, Path]) -> None:
        async with self._storing:
            for side, path in files.items():
                await levels.keep(side, path)
                LEVELS.labels("made").inc()


def remove(files: Mapping[int, Path]) -> None:
    """Remove the files of levels that are still there."""
    for path in files.values():
        path.unlink(missing_ok=True)
