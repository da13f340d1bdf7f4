"""`imgsvc explain`: describes the plan for a chain."""

import asyncio
from pathlib import Path

from imaging.formats import Format, InputLimits
from imaging.header import Header
from imaging.tasks import LOCK_DOWN, READ_HEADER, READ_HEADER_BYTES
from service_kit.processes.pool import WorkerPool
from service_kit.processes.worker import Setup
from transform_service.chain import FORMAT, parse, parse_presets
from transform_service.description import described, facts, share_read
from transform_service.http.negotiation import requested_format
from transform_service.operations.base import Steps
from transform_service.planning.plan import OutputLimits
from transform_service.planning.planner import of_page, page_to_read, plan
from transform_service.settings import TransformSettings

LABEL = 12
"""The width of the first column."""
_OVERLAYS = ", whose decoding is not in the cost: this command has no storage service"


def explain(query: str, path: Path, extension: str | None, settings: TransformSettings) -> str:
    """Describe the plan for the image at `path`, in lines. Raises OSError, and the errors that a request would get."""
    presets = parse_presets(settings.presets, max_operations=settings.max_operations)
    chain = parse(query, max_operations=settings.max_operations, presets=presets)
    header = asyncio.run(_read_header(path, chain.operations, settings))
    requested = requested_format(extension, chain.parameters.get(FORMAT))
    default = header.image_format.output if chain.operations or requested else header.image_format
    output = requested if isinstance(requested, Format) else default
    limits = OutputLimits(settings.max_pixels, settings.max_output_side)
    planned = plan(chain.operations, output, header, "", limits)
    share = share_read(planned.plan, path) if planned.plan else 1.0
    lines = [("image", f"{path.name}: {facts(header)}"), *described(chain.operations, planned, share, _OVERLAYS)]
    return "\n".join(f"{label:{LABEL}}{text}" for label, text in lines)


async def _read_header(path: Path, operations: Steps, settings: TransformSettings) -> Header:
    """Read the header in a worker process, as the service does."""
    limits = InputLimits(settings.max_pixels, settings.max_frames, settings.max_input_side)
    workers = WorkerPool(1, setup=Setup(LOCK_DOWN, (READ_HEADER,), sandbox=settings.sandbox), queue=1)
    with path.open("rb") as file:
        await workers.start()
        try:
            header = await workers.run(READ_HEADER, file, limits, memory=READ_HEADER_BYTES)
            page = page_to_read(operations, header)
            if page is None:
                return header
            of = await workers.run(READ_HEADER, file, limits, page, memory=READ_HEADER_BYTES)
            return of_page(header, of)
        finally:
            await workers.close()
