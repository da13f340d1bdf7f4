"""`imgsvc transform`: runs a chain on local files, as the service would, without one."""

import asyncio
import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from imaging.formats import Format, InputLimits
from imaging.header import Header
from imaging.tasks import LOCK_DOWN, READ_HEADER, READ_HEADER_BYTES
from service_kit.processes.pool import WorkerPool
from service_kit.processes.worker import Setup
from service_kit.threads import in_thread
from transform_service.chain import FORMAT, parse, parse_presets
from transform_service.http.negotiation import requested_format
from transform_service.planning.plan import OutputLimits, Planned
from transform_service.planning.planner import of_page, page_to_read, plan, with_overlays
from transform_service.scheduling.renderers import RENDER
from transform_service.settings import TransformSettings

_MARGIN = 256 * 1024**2
_WATERMARK = "watermark="
_ID_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Transformed:
    """A result."""

    file: Path
    format: str
    bytes: int


class LocalTransformer:
    """Runs chains in a sandboxed process, with the limits of the settings. Use it as an asynchronous context."""

    def __init__(self, settings: TransformSettings) -> None:
        self._settings = settings
        self._limits = InputLimits(settings.max_pixels, settings.max_frames, settings.max_input_side)
        setup = Setup(LOCK_DOWN, (READ_HEADER, RENDER), sandbox=settings.sandbox)
        self._workers = WorkerPool(1, setup=setup, queue=1)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._workers.start()
        self._stack.push_async_callback(self._workers.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def transform(self, query: str, source: Path, target: Path | str, extension: str | None) -> Transformed:
        """Write a file with the result. `target` is it, or its path without an extension, as text.

        In the query, a watermark may name a file. Raises OSError, and the errors that a request would get.
        """
        query, overlays = with_files(query.lstrip("?"))
        settings = self._settings
        presets = parse_presets(settings.presets, max_operations=settings.max_operations)
        chain = parse(query, max_operations=settings.max_operations, presets=presets)
        header = await self._header(source)
        page = page_to_read(chain.operations, header)
        if page is not None:
            header = of_page(header, await self._header(source, page))
        requested = requested_format(extension, chain.parameters.get(FORMAT))
        default = header.image_format.output if chain.operations or requested else header.image_format
        output = requested if isinstance(requested, Format) else default
        limits = OutputLimits(settings.max_pixels, settings.max_output_side)
        planned = plan(chain.operations, output, header, "", limits)
        headers = {name: await self._header(overlays[name]) for name in planned.overlays}
        file = target if isinstance(target, Path) else Path(f"{target}.{output.extensions[0]}")
        await self._written(source, with_overlays(planned, headers), overlays, file)
        return Transformed(file, output.name, file.stat().st_size)

    async def _header(self, path: Path, page: int = 0) -> Header:
        with path.open("rb") as file:
            return await self._workers.run(READ_HEADER, file, self._limits, page, memory=READ_HEADER_BYTES)

    async def _written(self, source: Path, planned: Planned, overlays: Mapping[str, Path], file: Path) -> None:
        partial = file.with_name(f".{file.name[:200]}.{secrets.token_hex(4)}")
        try:
            await self._rendered(source, planned, overlays, partial)
            os.replace(partial, file)  # noqa: PTH105
        finally:
            partial.unlink(missing_ok=True)

    async def _rendered(self, source: Path, planned: Planned, overlays: Mapping[str, Path], partial: Path) -> None:
        if planned.plan is None:
            await in_thread(shutil.copyfile, source, partial)
            return
        with ExitStack() as files:
            image = files.enter_context(source.open("rb"))
            marks = {name: files.enter_context(overlays[name].open("rb")) for name in planned.overlays}
            target = files.enter_context(partial.open("x+b", buffering=0))
            memory = planned.cost.bytes + _MARGIN
            await asyncio.wait_for(
                self._workers.run(RENDER, image, planned.plan, marks, target, {}, memory=memory),
                self._settings.render_seconds * 10,
            )


def with_files(query: str) -> tuple[str, Mapping[str, Path]]:
    """A chain whose watermarks are files, as one whose watermarks are images, and the files of these."""
    files: dict[str, Path] = {}
    return "&".join(_with_file(step, files) for step in query.split("&")), files


def _with_file(step: str, files: dict[str, Path]) -> str:
    if not step.startswith(_WATERMARK):
        return step
    name, comma, rest = step.removeprefix(_WATERMARK).partition(",")
    image_id = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:_ID_DIGITS]
    files[image_id] = Path(name)
    return f"{_WATERMARK}{image_id}{comma}{rest}"
