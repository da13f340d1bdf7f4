"""Describes plans in words: for `imgsvc explain`, and for clients."""

from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

from imaging.geometry import Size
from imaging.header import Header
from imaging.levels import sizes
from transform_service.operations.base import Steps
from transform_service.operations.profile import keeps_profile
from transform_service.planning.cost import decoder_shrink
from transform_service.planning.levels import level_for, needs_original
from transform_service.planning.plan import Plan, Planned
from transform_service.planning.planner import losing_gain_map


def described(written: Steps, planned: Planned, share: float, overlays: str) -> Iterator[tuple[str, str]]:
    """The parts of a plan, with their labels.

    `share` is that of the file which is read (`share_read`); `overlays` says what is known about the overlays.
    """
    made = planned.plan
    yield "as written", _chained(written)
    if made is None:
        yield "as planned", "nothing to do"
        yield "reading", "the original is sent as it is, including its metadata"
        return
    yield "as planned", _chained(made.operations)
    if made.unchanged:
        yield "reading", "the encoded pixels are kept if they are sRGB already; metadata is removed"
        return
    yield "reading", _reading(made, share)
    yield "level", _level(made)
    buffered = [str(step.operation) for step in made.steps if step.buffered]
    if buffered:
        yield "in memory", f"the pixels are computed into memory before {', and before '.join(buffered)}"
    yield "output", _output(made)
    if made.header.gain_map_pixels:
        yield "gain map", _gain_map(made)
    if keeps_profile(written):
        yield "colours", _colours(made)
    if made.overlays:
        yield "overlays", f"{len(made.overlays)}{overlays}"
    lane = "heavy" if planned.cost.heavy else "small"
    yield (
        "cost",
        (f"about {planned.cost.seconds:.3f} s of one core and {planned.cost.bytes / 1024**2:.0f} MiB; the {lane} lane"),
    )


def share_read(made: Plan, path: Path) -> float:
    """Which share of the file at `path` the render reads, from 0 to 1."""
    if not made.header.progressive or made.unchanged:
        return 1.0
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        return made.header.image_format.reader.share_read(data, decoder_shrink(made))


def facts(header: Header) -> str:
    """What matters of an image: its format, size and colours."""
    found = [header.image_format.name.upper(), str(header.size), header.colour_space]
    if header.frames > 1:
        found.append(f"{header.frames} frames")
    if header.unread_frames:
        found.append(f"an animation of which {header.unread_frames} frames are not read")
    if header.progressive:
        found.append(header.image_format.reader.interlacing)
    if header.orientation > 1:
        found.append(f"EXIF orientation {header.orientation}")
    return ", ".join([*found, *(["with alpha"] if header.alpha else [])])


def _chained(steps: Steps) -> str:
    return " > ".join(map(str, steps)) or "nothing to do"


def _reading(made: Plan, share: float) -> str:
    frames = f"{made.frames} frames, " if made.frames > 1 else ""
    page = f"page {made.page}, " if made.page else ""
    shrink = decoder_shrink(made)
    level = f"level 1/{shrink:g} of the decoder" if shrink > 1 else "all pixels"
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


def output_size(made: Plan) -> Size:
    """The size of the result."""
    size = made.header.size
    for operation in made.operations:
        size = operation.output_size(size)
    return size


def _output(made: Plan) -> str:
    size = output_size(made)
    encoding = made.encoding
    return f"{encoding.format.name.upper()}, {size}, quality {encoding.effective_quality}"
