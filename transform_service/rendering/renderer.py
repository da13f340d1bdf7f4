"""Runs a plan with libvips."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from mmap import mmap
from typing import BinaryIO

from imaging.formats import Format
from imaging.geometry import Frame, Size
from imaging.header import Header
from imaging.pixels import decoding, vips
from imaging.pixels.colour import srgb
from imaging.pixels.stripping import strip
from imaging.pixels.vips import pyvips
from imaging.scaling import scale
from service_kit.spool import room_for
from transform_service.operations.base import Operation, Overlays, load_operations
from transform_service.planning.plan import Plan, RenderReport, Step
from transform_service.planning.rules import upright

_SOUND = b"sound"
"""The result of a verification."""
_SMALL_PIXELS = 1_000_000
"""Results up to this size are computed completely before they are encoded, so that both can be timed. Larger ones are
encoded while they are computed, with only some rows in memory."""

load_operations()  # now, since the sandbox opens no modules


def render(source: BinaryIO, plan: Plan, overlays: Mapping[str, BinaryIO], output: BinaryIO) -> RenderReport:
    """Run `plan` on the image in `source` and write it to the new file `output`. `overlays` are files, by image ID.

    Raises UnprocessableImage if the data is corrupt or truncated (a result never lacks pixels), MemoryExceeded, and
    InsufficientStorage if the disk is full.
    """
    started = rendered = time.perf_counter()
    data = vips.mapped(source)
    with room_for("the result"), vips.decoding("the image", *_formats(plan)):
        if plan.verify:
            decoding.verify(data, plan.header)
            output.write(_SOUND)
        elif not (plan.unchanged and strip(data, plan.header, output, plan.frames)):
            image = _rendered(data, plan, _OverlayFiles(overlays, plan.overlay_headers))
            if image.width * image.height <= _SMALL_PIXELS:
                image = image.copy_memory()
                rendered = time.perf_counter()
            plan.encoding.format.encoder.save(image, vips.target(output), plan.encoding.effective_quality)
            del image
    ended = time.perf_counter()
    if rendered == started:
        rendered = ended
    return RenderReport(rendered - started, ended - rendered)


def _formats(plan: Plan) -> set[Format]:
    return {header.image_format for header in (plan.header, *plan.overlay_headers.values())}


class _OverlayFiles:
    """See Overlays."""

    def __init__(self, files: Mapping[str, BinaryIO], headers: Mapping[str, Header]) -> None:
        self._files = files
        self._headers = headers

    def size(self, image_id: str) -> Size:
        """See Overlays."""
        return self._headers[image_id].upright_size

    def load(self, image_id: str, target: Size) -> pyvips.Image:
        """See Overlays."""
        header, data = self._headers[image_id], vips.mapped(self._files[image_id])
        stored = target.swapped() if header.upright_size != header.size else target
        if header.size.contains(stored):
            image = decoding.scaled(data, header, 0, stored)
        else:
            image = scale(decoding.whole(data, header), stored)
        image = srgb(_without_orientation(image))
        for turn in upright(header.orientation):
            image = turn.apply(image.copy_memory())
        return image


def _rendered(data: mmap, plan: Plan, overlays: Overlays) -> pyvips.Image:
    if plan.frames > 1:
        return _animation(data, plan, overlays)
    if plan.load:
        target = plan.load.output_size(plan.header.size)
        image = decoding.scaled(data, plan.header, plan.page, target)
    else:
        image = decoding.whole(data, plan.header, plan.page)
    (rendered,) = _apply([srgb(_without_orientation(image))], plan, overlays)
    return rendered


def _animation(data: mmap, plan: Plan, overlays: Overlays) -> pyvips.Image:
    """Render frame by frame, as the decoder delivers them. Only the results are all in memory.

    All frames are also in memory before a step that is decided from the pixels of all of them.
    """
    frames = (srgb(_without_orientation(frame)) for frame in decoding.frames(data, plan.header))
    rendered = _apply(frames, plan, overlays)
    joined = pyvips.Image.arrayjoin(rendered, across=1).copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", rendered[0].height)
    return joined


def _apply(frames: Iterable[pyvips.Image], plan: Plan, overlays: Overlays) -> list[pyvips.Image]:
    """Run the steps of a plan on all its frames, one after the other."""
    steps = plan.steps
    while (place := next((n for n, step in enumerate(steps) if step.operation.decides()), None)) is not None:
        frames = [_run(frame, steps[:place], plan, overlays).copy_memory() for frame in frames]
        steps = (*_decided(steps[place].operation, frames), *steps[place + 1 :])
    results = []
    for frame in frames:
        image = _run(frame, steps, plan, overlays)
        plan.limits.check_output(Size(image.width, image.height), _chained(plan))
        results.append(image.copy_memory() if plan.frames > 1 else image)
    return results


def _chained(plan: Plan) -> str:
    return "&".join(map(str, plan.operations)) or "the image itself"


def _decided(operation: Operation, frames: Sequence[pyvips.Image]) -> Iterator[Step]:
    """The steps that the pixels of all frames decide on."""
    frame = Frame(Size(frames[0].width, frames[0].height), frames[0].hasalpha())
    for each in operation.resolve(frame):
        for settled in each.decided(frames):
            yield Step(settled, buffered=False)


def _run(image: pyvips.Image, steps: Sequence[Step], plan: Plan, overlays: Overlays) -> pyvips.Image:
    for step in steps:
        image = _apply_step(image, step, plan, overlays)
    return image


def _apply_step(image: pyvips.Image, step: Step, plan: Plan, overlays: Overlays) -> pyvips.Image:
    if step.buffered:
        image = image.copy_memory()
    size = Size(image.width, image.height)
    # The planner has resolved all steps except those after a step whose size depends on the pixels.
    for operation in step.operation.resolve(Frame(size, image.hasalpha())):
        plan.limits.check(operation.output_size(size), plan.frames, operation)
        image = operation.apply_with(image, overlays)
        size = Size(image.width, image.height)
    return image


def _without_orientation(image: pyvips.Image) -> pyvips.Image:
    """The image without its orientation tag: the turns are steps of the plan."""
    if not image.get_typeof("orientation"):
        return image
    image = image.copy()
    image.remove("orientation")
    return image
