"""Turns a chain and a header into a plan: decoding, steps, encoding, limits, cost, key."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from imaging.encoding import Encoding
from imaging.formats import Format
from imaging.geometry import Frame, Point, Size
from imaging.header import Header
from service_kit.errors import BadRequest
from transform_service.operations.background import Background
from transform_service.operations.base import Reads, Steps
from transform_service.operations.page import Page
from transform_service.operations.resize import Resize
from transform_service.planning.cost import estimate
from transform_service.planning.focus import focused
from transform_service.planning.plan import Cost, OutputLimits, Plan, Planned, Step
from transform_service.planning.rules import simplify, upright

WHITE = Background(colour="ffffff")
_NOTHING = Cost(0.0, 0)


def page_to_read(operations: Steps, header: Header) -> int | None:
    """The page whose own header the plan needs, since the pages of a TIFF may differ in size.

    None if the header of the image is enough. Raises BadRequest for a page that does not exist.
    """
    page = _page(operations, header)
    return page if page and not header.image_format.animated else None


def of_page(header: Header, page_header: Header) -> Header:
    """The header to plan with for one page: the page's own, but with the number of frames of the image."""
    return page_header.model_copy(update={"frames": header.frames})


def plan(
    operations: Steps, output: Format, header: Header, sha256: str, limits: OutputLimits, *, focus: Point | None = None
) -> Planned:
    """Plan the render of an image with this header, content and focal point (upright).

    Raises UnprocessableImage, which names the operation, if the chain exceeds the limits, BadRequest if an operation
    does not fit the image, and NotAcceptable if the service does not write the format.
    """
    if not operations and output is header.image_format:
        return Planned(None, sha256, _NOTHING)
    page = _page(operations, header)
    frames = header.frames if page is None and output.animated and header.image_format.animated else 1
    limits = replace(limits, max_side=min(limits.max_side, output.encoder.max_side))
    encoding = Encoding(output)
    for step in operations:
        encoding = step.encoding(encoding)

    stored = Frame(header.size, header.alpha or header.image_format.animated)
    turns = upright(header.orientation)
    operations = focused(operations, header.upright_size, focus)
    _check_limits(operations, turns, stored.size, frames, limits)
    flat = () if output.alpha else (WHITE,)
    steps = simplify((*turns, *operations, *flat), stored)
    load = _load(steps, stored.size, frames)
    rest = steps[1:] if load else steps
    gain_map = bool(header.gain_map_pixels and frames == 1 and output.encoder.gain_maps) and not losing_gain_map(steps)
    whole = not gain_map and encoding == Encoding(header.image_format) and frames == header.frames
    made = Plan(
        header,
        load,
        tuple(_buffered(rest, streamed=not load)),
        encoding,
        limits,
        page or 0,
        frames,
        unchanged=whole and not steps,
        gain_map=gain_map,
    )
    return Planned(made, _key(sha256, made), estimate(made))


def losing_gain_map(steps: Steps) -> Steps:
    """The steps after which a gain map would no longer fit."""
    return tuple(step for step in steps if not step.keeps_gain_map())


def verification(header: Header, sha256: str, limits: OutputLimits) -> Planned:
    """The plan that decodes a whole file, to find damage."""
    frames = header.frames if header.image_format.animated else 1
    made = Plan(header, None, (), Encoding(header.image_format), limits, 0, frames, verify=True)
    return Planned(made, _key(sha256, made), estimate(made))


def with_overlays(planned: Planned, headers: Mapping[str, Header]) -> Planned:
    """The same plan with the headers of its overlays, and with their cost."""
    if planned.plan is None or not headers:
        return planned
    made = replace(planned.plan, overlay_headers=headers)
    return replace(planned, plan=made, cost=estimate(made))


def _page(operations: Steps, header: Header) -> int | None:
    numbers = [step.number for step in operations if isinstance(step, Page)]
    if any(numbers[1:]):
        raise BadRequest(f"page={max(numbers[1:])}: page={numbers[0]} has already selected one page; use `page` once")
    if not numbers:
        return None
    if numbers[0] >= header.frames:
        pages = f"{header.frames} pages; use 0 to {header.frames - 1}" if header.frames > 1 else "1 page; use 0"
        raise BadRequest(f"page={numbers[0]}: the image has {pages}")
    return numbers[0]


def _check_limits(operations: Steps, turns: Steps, size: Size, frames: int, limits: OutputLimits) -> None:
    operation: object = "the image itself"
    for step in turns:
        size = step.output_size(size)
    exact = True
    for step in operations:
        after = step.output(Frame(size))
        exact = exact and after.exact
        if after.size != size:
            size, operation = after.size, step
        limits.check(size, frames, operation)
    if exact:  # otherwise the renderer checks the size that the pixels decide
        limits.check_output(size, operation)


def _load(steps: Steps, stored: Size, frames: int) -> Resize | None:
    """The first step, if it is a downscale that the decoder can do: it skips what the result does not show."""
    first = steps[0] if steps else None
    if frames == 1 and isinstance(first, Resize) and stored.contains(first.output_size(stored)):
        return first
    return None


def _buffered(steps: Steps, *, streamed: bool) -> Iterator[Step]:
    """Decide for which steps the input is computed into memory first.

    A decoder delivers each row once, from top to bottom. A libvips pipeline delivers any region, but computes it again
    each time. So between two steps that read rows more than once, the pixels are computed into memory.
    """
    pipeline = not streamed
    for operation in steps:
        reading = operation.reading()
        yield Step(operation, reading is Reads.AREA or (reading is Reads.WINDOW and pipeline))
        pipeline = pipeline or reading in {Reads.AREA, Reads.WINDOW}


def _key(sha256: str, made: Plan) -> str:
    steps = "&".join(map(str, made.operations))
    purpose = "verify" if made.verify else made.encoding
    # The last two: `compress=80` encodes again what `rotate=0` copies, and old headers say nothing of gain maps.
    text = f"{sha256}|{made.page}|{made.frames}|{steps}|{purpose}|{made.unchanged:d}{made.gain_map:d}"
    return hashlib.sha256(text.encode()).hexdigest()
