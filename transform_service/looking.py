"""Looks at stored images for the first time, when nobody needs the cores (imaging/looks.py)."""

from pathlib import Path

from imaging.formats import FORMATS
from imaging.geometry import Box
from imaging.looks import SIDE, Look
from service_kit.spool import Spool
from transform_service.chain import Chain
from transform_service.operations.resize import Resize
from transform_service.renders import RenderJob, Renders
from transform_service.scheduling.admission import Preempted
from transform_service.scheduling.renderers import Renderers
from transform_service.sources.base import SourceImage
from transform_service.transformer import Transformer

_CHAIN = Chain(f"resize={SIDE}x{SIDE}", (Resize(box=Box(SIDE, SIDE)),), {})
"""With its text, by which plans are remembered."""


class Looking:
    """Finds out what images look like."""

    def __init__(self, transformer: Transformer, renders: Renders, renderers: Renderers, spool: Spool) -> None:
        self._transformer = transformer
        self._renders = renders
        self._renderers = renderers
        self._spool = spool

    async def complete(self, image: SourceImage) -> None:
        """Look at an image, unless that was done. Raises the errors of Renders.run_when_idle."""
        if image.keep_look is not None:
            await image.keep_look(await self._look(image))

    async def _look(self, image: SourceImage) -> Look:
        """From a small PNG, which starts from a level if there is one."""
        planned = await self._transformer.plan(image, _CHAIN, FORMATS["png"])
        if planned.plan is None:  # it is a small PNG
            async with image.local() as path:
                return await self._patiently(path)
        result = await self._renders.run_when_idle(RenderJob(image, (), planned.plan, planned))
        async with self._spool.writer(result.size, "the small picture") as writer:
            async for chunk in result.chunks():
                await writer.write(chunk)
            return await self._patiently((await writer.finish()).path)

    async def _patiently(self, path: Path) -> Look:
        while True:
            try:
                return await self._renderers.look(path)
            except Preempted:
                continue
