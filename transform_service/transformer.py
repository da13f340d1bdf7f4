"""The use case of the transform service: plan, look into the result cache, render once, keep the result."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace

from cachetools import LRUCache

from imaging.formats import Format, InputLimits
from imaging.geometry import Point
from imaging.header import Header
from service_kit.errors import Unavailable, UnprocessableImage
from service_kit.flights import Flights
from service_kit.observing import spans
from service_kit.processes.pool import DeadlinePassed
from service_kit.processes.quarantine import Quarantined
from service_kit.usage import ORIGINAL
from transform_service.caching.results import ResultCache
from transform_service.chain import Chain, canonical
from transform_service.metrics import RESULTS
from transform_service.operations.base import Steps
from transform_service.planning.plan import OutputLimits, Planned
from transform_service.planning.planner import of_page, page_to_read, plan, verification, with_overlays
from transform_service.renders import RenderJob, Renders
from transform_service.result import Result, Timings
from transform_service.scheduling.renderers import Renderers, RenderSource
from transform_service.settings import TransformSettings
from transform_service.sources.base import SourceImage
from transform_service.variants import Variants

_VERIFIED = 10_000
"""The number of contents; about 2 MB."""
_PLANS, _LONGEST_QUERY = 1000, 256
"""Plans that are remembered, which take a fifth of the work for a cached result: about 4 MB."""
_HIT, _WAITED, _ORIGINAL = Timings("hit"), Timings("waited"), Timings("original")


class Transformer:
    """Transforms images. Simultaneous identical requests share one render; later ones find its result in the cache."""

    def __init__(
        self,
        settings: TransformSettings,
        renderers: Renderers,
        cache: ResultCache,
        variants: Variants,
        renders: Renders,
    ) -> None:
        self._limits = OutputLimits(settings.max_pixels, settings.max_output_side)
        self._input_limits = InputLimits(settings.max_pixels, settings.max_frames, settings.max_input_side)
        self._renderers = renderers
        self._cache = cache
        self._entry_bytes = settings.result_cache_entry_bytes
        self._variants = variants
        self._renders = renders
        self._flights: Flights[Result] = Flights()
        self._plans: LRUCache[tuple[str, str, str, Header, Point | None], Planned] = LRUCache(_PLANS)
        self._verified: LRUCache[str, bool] = LRUCache(_VERIFIED)
        """Contents of which all pixels were decoded, by hash."""

    async def plan(self, image: SourceImage, chain: Chain, output: Format) -> Planned:
        """Plan a request, or remember its plan. Decodes no pixels."""
        request = (chain.query, output.name, image.sha256, image.header, image.focus)
        planned = self._plans.get(request)
        if planned is None:
            planned = await self._plan(image, chain.operations, output)
            text = canonical(chain.operations, output) if planned.plan else ORIGINAL
            planned = replace(planned, chain=text)
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
        return plan(operations, output, header, image.sha256, self._limits, focus=image.focus)

    async def render(self, image: SourceImage, planned: Planned, overlays: Sequence[SourceImage]) -> Result:
        """The result of a plan: the original, a cached result, or that of a render, which may have begun already.

        The `overlays` are in the order of `planned.overlays`.
        A render is cancelled when the last request that was waiting for it has gone. Raises Gone if the image or an
        overlay was deleted meanwhile: deleted images are served for no longer than a second.
        """
        async with contextlib.AsyncExitStack() as stack:
            planned = self.with_overlays(planned, overlays)
            if planned.plan is None:
                await self._verify(image)
                path = await stack.enter_async_context(image.local())
                result = Result.from_file(path, _ORIGINAL)
            else:
                try:
                    result = await self._shared(RenderJob(image, overlays, planned.plan, planned))
                except Unavailable:
                    await _confirm(image, *overlays)
                    raise
            if image.is_old:
                await _confirm(image, *overlays)
                spans.lap("source")
        return result

    def with_overlays(self, planned: Planned, overlays: Sequence[SourceImage]) -> Planned:
        """The plan with the headers of its overlays. Raises UnprocessableImage if one of them exceeds the limits."""
        return with_overlays(planned, self._headers(planned, overlays))

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
            await self._shared(RenderJob(image, (), planned.plan, planned))
        except Unavailable:
            await _confirm(image)
            raise
        self._verified[image.sha256] = True

    async def _shared(self, job: RenderJob) -> Result:
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

    def _begin(self, job: RenderJob) -> asyncio.Task[Result]:
        """Start a render. It keeps its images, since the request that named them may end before those that join."""
        claims = contextlib.ExitStack()
        for image in (job.image, *job.overlays):
            claims.enter_context(image.claim())
        task = asyncio.create_task(self._find_or_render(job))
        task.add_done_callback(lambda _: claims.close())
        return task

    async def _find_or_render(self, job: RenderJob) -> Result:
        key = job.planned.key
        # A file comes before the result cache, and another server only after it.
        stored = job.image.variants.there.get(key) if job.image.variants else None
        if stored and stored.path and (found := await self._variants.find(job.image, key)):
            RESULTS.labels("stored").inc()
            return found
        if found := await self._found(key):
            return found
        if stored and not stored.path and (found := await self._variants.find(job.image, key)):
            RESULTS.labels("stored").inc()
            if found.size <= self._entry_bytes:
                body = b"".join([chunk async for chunk in found.chunks()])
                await self._cache.keep(key, body, job.image.sha256)
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

    async def _render_and_keep(self, job: RenderJob) -> Result:
        try:
            result = await self._renders.run(job)
        except Quarantined:
            raise
        except UnprocessableImage as error:
            await self._cache.keep_failure(job.planned.key, error, job.image.sha256)
            raise
        if result.body is not None:
            await self._cache.keep(job.planned.key, result.body, job.image.sha256)
        self._variants.consider(job.image, job.planned, result)
        return result


def _lap(timings: Timings, *, first: bool) -> None:
    """End a lap under the span that fits the origin of the result."""
    if not first or timings.source == "waited":
        spans.lap("wait")
    elif timings.source in {"hit", "stored"}:
        spans.lap("cache")
    else:
        spans.lap("cache", queue=timings.queue, render=timings.render, encode=timings.encode)


async def _confirm(*images: SourceImage) -> None:
    """Raise Gone if one of the images that a result shows has been deleted."""
    await asyncio.gather(*(image.confirm() for image in images))
