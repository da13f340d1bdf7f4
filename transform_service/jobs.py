"""Does jobs, when nobody else needs the cores."""

from contextlib import AsyncExitStack

from service_kit.access import EVERYTHING
from service_kit.errors import BadRequest, NotAcceptable, UnprocessableImage, URITooLong
from service_kit.jobs import DERIVE, Job
from transform_service.chain import Chain, parse_canonical
from transform_service.levels import LevelMaker
from transform_service.renders import RenderJob, Renders
from transform_service.sources.base import Source, SourceImage
from transform_service.transformer import Transformer
from transform_service.variants import Variants

_NEVER = (BadRequest, NotAcceptable, URITooLong, UnprocessableImage)
"""What an image and a chain always raise together."""


class Jobs:
    """See JobRunner."""

    def __init__(
        self,
        stored: Source,
        levels: LevelMaker,
        transformer: Transformer,
        renders: Renders,
        variants: Variants,
        *,
        max_operations: int,
    ) -> None:
        """`stored` is the source of stored images."""
        self._stored = stored
        self._levels = levels
        self._transformer = transformer
        self._renders = renders
        self._variants = variants
        self._max_operations = max_operations

    async def run(self, job: Job) -> None:
        """See JobRunner. One thing that always fails does not keep the others from being made."""
        if job.kind != DERIVE:
            raise BadRequest(f"this version does not know the job {job.kind[:32]!r}")
        failed: list[str] = []
        async with self._stored.open(job.image_id, EVERYTHING) as image:
            try:
                await self._levels.complete(image)
            except UnprocessableImage as error:
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
        planned = await self._transformer.plan(image, Chain(text, operations, {}), fmt)
        if planned.plan is None or planned.key in image.variants.there:
            return
        async with AsyncExitStack() as stack:
            overlays = [
                await stack.enter_async_context(self._stored.open(each, EVERYTHING)) for each in planned.overlays
            ]
            planned = self._transformer.with_overlays(planned, overlays)
            assert planned.plan
            result = await self._renders.run_when_idle(RenderJob(image, overlays, planned.plan, planned))
            await self._variants.keep(image.variants, planned, result)
