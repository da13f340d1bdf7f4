"""From a chain and an image's header to a plan: steps, decoding, output, limits, cost, key. Pure, without libvips."""

import hashlib
from collections.abc import Iterator

from service_kit.errors import BadRequest
from service_kit.formats import Format
from service_kit.images import Header
from transform_service.cost import estimate
from transform_service.encoding import Encoding
from transform_service.geometry import Frame, Size
from transform_service.operations.background import Background
from transform_service.operations.base import Reads, Steps
from transform_service.operations.page import Page
from transform_service.operations.resize import Resize
from transform_service.plan import OutputLimits, Plan, Planned, Step, Stored
from transform_service.rules import simplify, upright

WHITE = Background(colour="ffffff")


def page_number(operations: Steps) -> int | None:
    """The page that a chain asks for; None where it does not. BadRequest for a second one that cannot be."""
    numbers = [step.number for step in operations if isinstance(step, Page)]
    if any(numbers[1:]):
        raise BadRequest(f"page={max(numbers[1:])}: there is one page only after page={numbers[0]}")
    return numbers[0] if numbers else None


def plan(operations: Steps, output: Format, header: Header, sha256: str, limits: OutputLimits) -> Planned:
    """Plan the rendering of an image with this header and content.

    Raises UnprocessableImage, naming the step, for a chain that would pass the limits, and BadRequest
    for a step that does not fit the image.
    """
    page = page_number(operations)
    if page is not None and page >= header.frames:
        raise BadRequest(f"page={page}: the image has {header.frames} page(s), counted from 0")
    frames = header.frames if page is None and output.animated and header.kind.animated else 1
    encoding = Encoding(output)
    for step in operations:
        encoding = step.encoding(encoding)

    stored = Frame(Size(header.width, header.height), header.alpha or header.kind.animated)
    turns = upright(header.orientation)
    _check_limits(operations, turns, stored.size, frames, limits)
    flat = () if output.alpha else (WHITE,)
    steps = simplify((*turns, *operations, *flat), stored)
    load = _load(steps, stored.size, frames)
    rest = steps[1:] if load else steps
    whole = encoding == Encoding(header.kind) and frames == header.frames
    made = Plan(
        Stored(header.format, stored.size, header.progressive),
        load,
        tuple(_buffered(rest, streamed=not load)),
        encoding,
        limits,
        page or 0,
        frames,
        unchanged=whole and not steps,
    )
    return Planned(made, _key(sha256, made), estimate(made, header))


def _check_limits(operations: Steps, turns: Steps, size: Size, frames: int, limits: OutputLimits) -> None:
    maker: object = "the image itself"
    for step in turns:
        size = step.output_size(size)
    for step in operations:
        after = step.output_size(size)
        if after != size:
            size, maker = after, step
        limits.check(size, frames, maker)
    limits.check_output(size, maker)


def _load(steps: Steps, stored: Size, frames: int) -> Resize | None:
    """The first step, where it is a downscale: decoders leave out what it would not show."""
    first = steps[0] if steps else None
    if frames == 1 and isinstance(first, Resize) and stored.contains(first.output_size(stored)):
        return first
    return None


def _buffered(steps: Steps, *, streamed: bool) -> Iterator[Step]:
    """Decide before which steps pixels are computed into memory.

    A decoder gives each row once, from top to bottom. A pipeline of libvips gives any piece, but computes it again at
    each asking; so between two steps that read rows more than once the pixels are computed, once.
    """
    pipeline = not streamed
    for operation in steps:
        reading = operation.reading()
        yield Step(operation, reading is Reads.AREA or (reading is Reads.WINDOW and pipeline))
        pipeline = pipeline or reading in {Reads.AREA, Reads.WINDOW}


def _key(sha256: str, made: Plan) -> str:
    steps = "&".join(map(str, made.operations))
    text = f"{sha256}|{made.page}|{made.frames}|{steps}|{made.encoding}"
    return hashlib.sha256(text.encode()).hexdigest()
