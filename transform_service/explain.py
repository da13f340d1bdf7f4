"""Tells a person what the planner makes of a chain: `imgsvc explain`."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from service_kit import vips
from service_kit.formats import by_extension
from service_kit.images import Header
from transform_service import progressive
from transform_service.chain import Chain, parse, parse_presets
from transform_service.cost import decoder_shrink
from transform_service.geometry import Size
from transform_service.operations.base import Steps
from transform_service.plan import OutputLimits, Plan, Planned
from transform_service.planner import page_number, plan
from transform_service.settings import TransformSettings

_LABEL = 12


def explain(query: str, path: Path, extension: str | None, settings: TransformSettings) -> str:
    """The plan for the image at `path`, in lines. Raises what the service would answer."""
    vips.lock_down()
    presets = parse_presets(settings.presets, max_operations=settings.max_operations)
    chain = parse(query, max_operations=settings.max_operations, presets=presets)
    header = vips.read_header(path, settings.max_pixels, settings.max_frames)
    page = page_number(chain.operations)
    if page and page < header.frames and not header.kind.animated:
        of_page = vips.read_header(path, settings.max_pixels, settings.max_frames, page)
        header = of_page.model_copy(update={"frames": header.frames})
    asked = extension or chain.parameters.get("format")
    output = by_extension(asked) if asked else header.kind
    limits = OutputLimits(settings.max_pixels, settings.max_output_side)
    planned = plan(chain.operations, output, header, "", limits)
    return "\n".join(f"{label:{_LABEL}}{text}" for label, text in _lines(path, header, chain, planned))


def _lines(path: Path, header: Header, chain: Chain, planned: Planned) -> Iterator[tuple[str, str]]:
    made = planned.plan
    stored = Size(header.width, header.height)
    yield "image", f"{path.name}: {_facts(header)}"
    yield "as written", _chained(chain.operations)
    yield "as planned", _chained(made.operations)
    if made.unchanged:
        yield "reading", "the encoded pixels are kept, where they are sRGB already; metadata goes"
        return
    yield "reading", _reading(path, made, header)
    buffered = [str(step.operation) for step in made.steps if step.buffered]
    if buffered:
        yield "in memory", f"the pixels are computed into memory before {', and before '.join(buffered)}"
    yield "output", _output(made, stored)
    lane = "heavy" if planned.cost.heavy else "small"
    yield (
        "cost",
        (f"about {planned.cost.seconds:.3f} s of one core and {planned.cost.bytes / 1024**2:.0f} MiB; the {lane} lane"),
    )


def _facts(header: Header) -> str:
    facts = [header.kind.name.upper(), str(Size(header.width, header.height)), header.colour_space]
    if header.frames > 1:
        facts.append(f"{header.frames} frames")
    if header.progressive:
        facts.append("progressive" if header.format == "jpeg" else "interlaced")
    if header.orientation > 1:
        facts.append(f"EXIF orientation {header.orientation}")
    return ", ".join([*facts, *(["with alpha"] if header.alpha else [])])


def _chained(steps: Steps) -> str:
    return " > ".join(map(str, steps)) or "nothing to do"


def _reading(path: Path, made: Plan, header: Header) -> str:
    frames = f"{made.frames} frames, " if made.frames > 1 else ""
    page = f"page {made.page}, " if made.page else ""
    shrink = decoder_shrink(made, header)
    level = f"level 1/{shrink:g} of the decoder" if shrink > 1 else "all pixels"
    return f"{frames}{page}{level}{_left_out(path, made, int(shrink))}; sequential, from top to bottom"


def _left_out(path: Path, made: Plan, shrink: int) -> str:
    needed = progressive.needed(path, shrink) if made.stored.progressive and made.stored.format == "jpeg" else None
    return (
        f" from {needed.getbuffer().nbytes / path.stat().st_size:.0%} of the file"
        if isinstance(needed, BytesIO)
        else ""
    )


def _output(made: Plan, size: Size) -> str:
    for operation in made.operations:
        size = operation.output_size(size)
    encoding = made.encoding
    return f"{encoding.format.name.upper()}, {size}, quality {encoding.effective_quality}"
