"""Does jobs, when nobody else needs the cores."""

import asyncio
import logging

from service_kit.access import EVERYTHING
from service_kit.errors import BadRequest, NotAcceptable, Unavailable, UnprocessableImage, URITooLong
from service_kit.jobs import DERIVE, Job
from transform_service.chain import Chain, parse_canonical
from transform_service.levels import LevelMaker
from transform_service.looking import Looking
from transform_service.renders import RenderJob, Renders
from transform_service.sources.base import Source, SourceImage
from transform_service.transformer import Transformer
from transform_service.variants import Variants

_MOST = 4
"""Jobs at once, above which no other is accepted: each waits where it can be lost."""
_NEVER = (BadRequest, NotAcceptable, URITooLong, UnprocessableImage)
"""What an image and a chain always raise together."""


logger = logging.getLogger(__name__)


class Jobs:
    """See JobRunner."""

    def __init__(
        self,
        stored: Source,
        levels: LevelMaker,
        looking: Looking,
        transformer: Transformer,
        *,
        renders: Renders,
        variants: Variants,
        max_operations: int,
    ) -> None:
        """`stored` is the source of stored images."""
        self._stored = stored
        self._levels = levels
        self._looking = looking
        self._transformer = transformer
        self._renders = renders
        self._variants = variants
        self._max_operations = max_operations
        self._running: dict[tuple[str, tuple[str, ...]], asyncio.Task[None]] = {}
        """By content and chains."""

    async def run(self, job: Job) -> None:
        """See JobRunner. One thing that always fails does not keep the others from being made.

        If the caller is cancelled, the work goes on, and the next call for the same job waits for it. Raises
        Unavailable while many others are running.
        """
        if job.kind != DERIVE:
            raise BadRequest(f"this version does not know the job {job.kind[:32]!r}")
        this = job.sha256, job.chains
        task = self._running.get(this)
        if task is None:
            if len(self._running) >= _MOST:
                raise Unavailable("jobs of many other images are running")
            task = self._running[this] = asyncio.create_task(self._run(job))
            task.add_done_callback(lambda done: self._ended(this, done))
        await asyncio.shield(task)

    def _ended(self, this: tuple[str, tuple[str, ...]], task: asyncio.Task[None]) -> None:
        del self._running[this]
        if not task.cancelled():
            task.exception()  # whoever waits for it gets it, if anybody does

    async def close(self) -> None:
        """Stop all jobs."""
        tasks = [*self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        failed: list[str] = []
        async with self._stored.open(job.image_id, EVERYTHING) as image:
            try:
                await self._levels.complete(image)
            except UnprocessableImage as error:
                failed.append(error.detail)
        async with self._stored.open(job.image_id, EVERYTHING) as image:
            try:
                await self._looking.complete(image)
            except _NEVER as error:
                failed.append(error.detail)
        for text in job.chains:
            # With the levels that there are now.
            async with self._stored.open(job.image_id, EVERYTHING) as image:
                try:
                    await self._precompute(image, text)
                except _NEVER as error:
                    failed.append(f"{text}: {error.detail.splitlines()[0]}")
        if failed:
            raise UnprocessableImage("; ".join(failed))

    async def _precompute(self, image: SourceImage, text: str) -> None:
        """Render and store a chain of an image, unless that was done."""
        if image.variants is None:
            return
        operations, fmt = parse_canonical(text, max_operations=self._max_operations)
        try:
            planned = await self._transformer.plan(image, Chain(text, operations, {}), fmt)
        except (BadRequest, UnprocessableImage) as error:  # a request for it would get the same error
            logger.info("the image %s has no variant %s: %s", image.image_id, text, error.detail.splitlines()[0])
            return
        if planned.plan is None or planned.key in image.variants.there:
            return
        result = await self._renders.run_when_idle(RenderJob(image, (), planned.plan, planned))
        await self._variants.keep(image.variants, planned, result)
