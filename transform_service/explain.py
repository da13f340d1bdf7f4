"""`imgsvc explain`: describes the plan for a chain."""

import asyncio
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

from imaging.formats import Format, InputLimits
from imaging.header import Header
from imaging.levels import sizes
from imaging.tasks import LOCK_DOWN, READ_HEADER, READ_HEADER_BYTES
from service_kit.processes.pool import WorkerPool
from service_kit.processes.worker import Setup
from transform_service.chain import FORMAT, Chain, parse, parse_presets
from transform_service.http.negotiation import requested_format
from transform_service.operations.base import Steps
from transform_service.operations.profile import keeps_profile
from transform_service.planning.cost import decoder_shrink
from transform_service.planning.levels import level_for, needs_original
from transform_service.planning.plan import OutputLimits, Plan, Planned
from transform_service.planning.planner import losing_gain_map, of_page, page_to_read, plan
from transform_service.settings import TransformSettings

LABEL = 12
"""The width of the first column."""


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
    return "\n".join(f"{label:{LABEL}}{text}" for label, text in _lines(path, header, chain, planned))


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


def _lines(path: Path, header: Header, chain: Chain, planned: Planned) -> Iterator[tuple[str, str]]:
    made = planned.plan
    yield "image", f"{path.name}: {_facts(header)}"
    yield "as written", _chained(chain.operations)
    if made is None:
        yield "as planned", "nothing to do"
        yield "reading", "the original is sent as it is, including its metadata"
        return
    yield "as planned", _chained(made.operations)
    if made.unchanged:
        yield "reading", "the encoded pixels are kept if they are sRGB already; metadata is removed"
        return
    yield "reading", _reading(path, made)
    yield "level", _level(made)
    buffered = [str(step.operation) for step in made.steps if step.buffered]
    if buffered:
        yield "in memory", f"the pixels are computed into memory before {', and before '.join(buffered)}"
    yield "output", _output(made)
    if header.gain_map_pixels:
        yield "gain map", _gain_map(made)
    if keeps_profile(chain.operations):
        yield "colours", _colours(made)
    if made.overlays:
        yield (
            "overlays",
            f"{len(made.overlays)}, whose decoding is not in the cost: this command has no storage service",
        )
    lane = "heavy" if planned.cost.heavy else "small"
    yield (
        "cost",
        (f"about {planned.cost.seconds:.3f} s of one core and {planned.cost.bytes / 1024**2:.0f} MiB; the {lane} lane"),
    )


def _facts(header: Header) -> str:
    facts = [header.image_format.name.upper(), str(header.size), header.colour_space]
    if header.frames > 1:
        facts.append(f"{header.frames} frames")
    if header.unread_frames:
        facts.append(f"an animation of which {header.unread_frames} frames are not read")
    if header.progressive:
        facts.append(header.image_format.reader.interlacing)
    if header.orientation > 1:
        facts.append(f"EXIF orientation {header.orientation}")
    return ", ".join([*facts, *(["with alpha"] if header.alpha else [])])


def _chained(steps: Steps) -> str:
    return " > ".join(map(str, steps)) or "nothing to do"


def _reading(path: Path, made: Plan) -> str:
    frames = f"{made.frames} frames, " if made.frames > 1 else ""
    page = f"page {made.page}, " if made.page else ""
    shrink = decoder_shrink(made)
    level = f"level 1/{shrink:g} of the decoder" if shrink > 1 else "all pixels"
    share = 1.0
    if made.header.progressive:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            share = made.header.image_format.reader.share_read(data, shrink)
    part = f" from {share:.0%} of the file" if share < 1 else ""
    return f"{frames}{page}{level}{part}; sequential, from top to bottom"


def _level(made: Plan) -> str:
    side, reason = level_for(made), needs_original(made)
    if side:
        size = sizes(made.header)[side]
        return f"once the image has one, the render starts from its level of {size}, and not from the original"
    if not reason:
        reason = "none has enough pixels for the result" if sizes(made.header) else "the image is small or narrow"
    return f"none, since {reason}"


def _gain_map(made: Plan) -> str:
    losing = [str(step) for step in losing_gain_map(made.operations)]
    if losing:
        return f"dropped, since it would not fit the pixels after {', '.join(losing)}"
    if not made.gain_map:
        return f"dropped, since the service does not write any in {made.encoding.format.name.upper()}"
    return "kept, and scaled, cropped and turned with the image"


def _colours(made: Plan) -> str:
    if not made.encoding.keep_profile:
        return f"converted to sRGB, since {made.encoding.format.name.upper()} has no profiles"
    return "those of the image with its profile; sRGB if it is CMYK, grey or HDR, or has no profile"


def _output(made: Plan) -> str:
    size = made.header.size
    for operation in made.operations:
        size = operation.output_size(size)
    encoding = made.encoding
    return f"{encoding.format.name.upper()}, {size}, quality {encoding.effective_quality}"
