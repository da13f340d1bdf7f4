"""Stored variants: finds them before any render, and keeps results that will be wanted again (docs/adr/0070)."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine

from cachetools import LRUCache, TTLCache

from imaging.locator import Locator
from service_kit.errors import ServiceError
from service_kit.spool import Spool
from service_kit.threads import in_thread
from transform_service.metrics import VARIANTS
from transform_service.planning.plan import Planned
from transform_service.result import Result, Timings
from transform_service.sources.base import SourceImage, StoredVariants, VariantLost

_LARGEST = 16 * 1024**2
"""Larger results are not stored (storage_service/http/handlers.py)."""
_MOST, _AT_ONCE = 100, 2
"""Results that wait for being stored, which hold their bytes, and that are being stored. Others are left out."""
_REMEMBERED = 20_000
"""Plans that were rendered here. What is rendered again is hot: caches have lost it, and somebody wanted it again."""
_FIND_SECONDS = 2.0
"""For reading a variant from an object store. Then the image is rendered."""
_NOTE_SECONDS, _NOTED_SECONDS, _NOTED_AT_ONCE = 60.0, 3600.0, 200
"""How often storage is told which variants were used, how exactly, and of how many at once."""
_STORED = Timings("stored")

logger = logging.getLogger(__name__)


class Variants:
    """Variants that are found, and those that are being stored. Nobody waits for that."""

    def __init__(self, locator: Locator, spool: Spool) -> None:
        self._locator = locator
        self._spool = spool
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """By the key of the plan."""
        self._storing = asyncio.Semaphore(_AT_ONCE)
        self._rendered: LRUCache[str, bool] = LRUCache(_REMEMBERED)
        self._used: TTLCache[str, bool] = TTLCache(_REMEMBERED, _NOTED_SECONDS)
        """The keys of variants that were sent lately, so that their use was noted or is about to be."""
        self._to_note: list[str] = []

    async def find(self, image: SourceImage, key: str) -> Result | None:
        """The stored variant with this key, or None if there is none or reading it takes too long."""
        variants = image.variants
        variant = variants.there.get(key) if variants else None
        if variants is None or variant is None:
            return None
        try:
            async with asyncio.timeout(_FIND_SECONDS), variants.local(variant) as path:
                result = Result.from_file(path, _STORED, stored=variant.path)
        except VariantLost:
            VARIANTS.labels("lost").inc()
            logger.warning("a variant of image %s is lost or damaged: %.12s", image.image_id, key)
            self._begin(key, variants.drop(variant))
            return None
        except (ServiceError, TimeoutError) as error:  # the original may be nearer
            VARIANTS.labels("failed").inc()
            logger.info("a variant of image %s cannot be read: %s", image.image_id, error)
            return None
        VARIANTS.labels("used").inc()
        if key not in self._used:
            self._used[key] = True
            self._to_note.append(key)
        return result

    def consider(self, image: SourceImage, planned: Planned, result: Result) -> None:
        """Store a result that was just rendered, if it is to be precomputed, or was rendered before.

        Not one that shows other images: it would have to disappear with each of them.
        """
        variants, key = image.variants, planned.key
        if variants is None or not planned.chain or planned.overlays or result.size > _LARGEST:
            return
        again = key in self._rendered
        self._rendered[key] = True
        wanted = again or planned.chain in variants.precomputed
        if wanted and len(self._tasks) < _MOST:
            self._begin(key, self.keep(variants, planned, result, hot=again))

    async def note_use_for_ever(self) -> None:
        """Tell storage now and then which variants were sent: it removes those that were not."""
        while True:
            await asyncio.sleep(_NOTE_SECONDS)
            keys, self._to_note = self._to_note, []
            for start in range(0, len(keys), _NOTED_AT_ONCE):
                with contextlib.suppress(ServiceError):  # they look older than they are
                    await self._locator.note_variants(keys[start : start + _NOTED_AT_ONCE])

    async def keep(self, variants: StoredVariants, planned: Planned, result: Result, *, hot: bool = False) -> None:
        """Store a result: because its chain is precomputed, or because it is `hot`.

        Raises a ServiceError if that is not possible.
        """
        if result.size > _LARGEST:
            return
        async with self._storing:
            path = self._spool.new_path()
            try:
                with path.open("xb") as file:  # opening takes no time, and writing has its thread
                    async for chunk in result.chunks():
                        await in_thread(file.write, chunk)
                await variants.keep(planned.key, planned.chain, path, hot=hot)
                VARIANTS.labels("stored").inc()
            finally:
                path.unlink(missing_ok=True)

    async def close(self) -> None:
        """Stop storing."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: str, work: Coroutine[None, None, None]) -> None:
        """Do this after what is being done with this key."""
        before = self._tasks.get(key)

        async def in_turn() -> None:
            if before:
                await asyncio.wait([before])
            await work

        task = self._tasks[key] = asyncio.create_task(in_turn())
        task.add_done_callback(lambda _: self._ended(key, task))
        task.add_done_callback(lambda _: work.close())  # if it was cancelled before it began

    def _ended(self, key: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        VARIANTS.labels("failed").inc()
        bug = not isinstance(error, ServiceError | OSError)
        logger.log(
            logging.ERROR if bug else logging.INFO,
            "a variant was not stored or removed: %s",
            error,
            exc_info=error if bug else None,
        )
