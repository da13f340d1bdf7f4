"""Runs a plan with libvips."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from mmap import mmap
from typing import BinaryIO

from imaging.formats import Format
from imaging.geometry import Frame, Size
from imaging.header import Header
from imaging.pixels import colour, decoding, gain_map, vips
from imaging.pixels.decoding import OpenFile
from imaging.pixels.levels import scaled_part
from imaging.pixels.stripping import strip
from imaging.pixels.vips import pyvips
from imaging.scaling import scale
from service_kit.spool import room_for
from transform_service.operations.base import Operation, Overlays, load_operations
from transform_service.planning.plan import Plan, RenderReport, Step
from transform_service.planning.rules import upright
from transform_service.rendering import levels as making

_SOUND = b"sound"
"""The result of a verification."""
_RGB = 3
_NONE: Mapping[int, BinaryIO] = {}
_SMALL_PIXELS = 1_000_000
"""Results up to this size are computed completely before they are encoded, so that both can be timed. Larger ones are
encoded while they are computed, with only some rows in memory."""

load_operations()  # now, since the sandbox opens no modules


def render(
    source: BinaryIO,
    plan: Plan,
    overlays: Mapping[str, BinaryIO],
    output: BinaryIO,
    levels: Mapping[int, BinaryIO] = _NONE,
) -> RenderReport:
    """Run `plan` on the image in `source` and write it to the new file `output`. `overlays` are files, by image ID.

    `levels` are new files for levels to make on the way, by side; one of them is enough for the result.

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
            image = _finished(_rendered(data, plan, _OverlayFiles(overlays, plan.overlay_headers), levels))
            if image.width * image.height <= _SMALL_PIXELS:
                image = image.copy_memory()
                rendered = time.perf_counter()
            encoder = plan.encoding.format.encoder
            encoder.save(image, vips.target(output), plan.encoding.effective_quality)
            encoder.completed(output, image)
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
        self.profile: bytes | None = None
        """The colours of the image that they are laid over; None for sRGB."""

    def size(self, image_id: str) -> Size:
        """See Overlays."""
        return self._headers[image_id].upright_size

    def load(self, image_id: str, target: Size) -> pyvips.Image:
        """See Overlays."""
        header = self._headers[image_id]
        file = OpenFile(vips.mapped(self._files[image_id]), header)
        stored = target.swapped() if header.upright_size != header.size else target
        smaller = header.size.contains(stored)
        image = decoding.scaled(file, stored) if smaller else scale(decoding.whole(file), stored)
        image = colour.srgb(_without_orientation(image))
        if self.profile:
            image = colour.to_profile(image, self.profile)
        for turn in upright(header.orientation):
            image = turn.apply(image.copy_memory())
        return image

    def colour(self, red: int, green: int, blue: int) -> list[float]:
        """See Overlays."""
        if not self.profile:
            return [float(red), float(green), float(blue)]
        pixel = pyvips.Image.black(1, 1).new_from_image([red, green, blue]).copy(interpretation="srgb")
        return [float(band) for band in colour.to_profile(pixel, self.profile)(0, 0)]


def _rendered(data: mmap, plan: Plan, overlays: _OverlayFiles, levels: Mapping[int, BinaryIO]) -> pyvips.Image:
    file = OpenFile(data, plan.header, plan.page, plan.encoding.keep_profile)
    if plan.frames > 1:
        return _animation(file, plan, overlays)
    target = plan.load.output_size(plan.header.size) if plan.load else None
    small = decoding.whole(file) if plan.level else making.smallest(making.written(file, levels), target)
    if small is not None and target:
        image = _normal(scaled_part(small, plan.part, target) if plan.part else scale(small, target), plan)
        if plan.header.alpha and not image.hasalpha():
            image = image.addalpha()
    else:
        image = _normal(decoding.scaled(file, target) if target else _opened(file, plan), plan)
    overlays.profile = colour.profile_of(image)
    if plan.gain_map:
        image = _with_gain_map(image, file, plan)
    (rendered,) = _apply([image], plan, overlays)
    return rendered


def _opened(file: OpenFile, plan: Plan) -> pyvips.Image:
    """The image at its full size: as a stream if only a part of it is needed, which may be its first rows."""
    size = file.header.size
    part = plan.steps[0].operation.output_size(size) if plan.steps else size
    return file.load() if part.pixels * 2 < size.pixels else decoding.whole(file)


def _normal(image: pyvips.Image, plan: Plan) -> pyvips.Image:
    return colour.normal(_without_orientation(image), keep_profile=plan.encoding.keep_profile)


def _with_gain_map(image: pyvips.Image, file: OpenFile, plan: Plan) -> pyvips.Image:
    image = gain_map.attach(image, file.data, plan.header.image_format, plan.header.gain_map_pixels)
    picture = gain_map.of(image)
    if picture is None or plan.load is None:
        return image
    return gain_map.replaced(image, plan.load.apply_to_map(picture, plan.header.size))


def _finished(image: pyvips.Image) -> pyvips.Image:
    """The image with what its file says besides pixels."""
    return gain_map.encoded(colour.grey_without_profile(image) if image.bands < _RGB else image)


def _animation(file: OpenFile, plan: Plan, overlays: _OverlayFiles) -> pyvips.Image:
    """Render frame by frame, as the decoder delivers them. Only the results are all in memory.

    All frames are also in memory before a step that is decided from the pixels of all of them.
    """
    frames = [_normal(frame, plan) for frame in decoding.frames(file)]
    overlays.profile = colour.profile_of(frames[0])
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
        picture = gain_map.of(image)
        image = operation.apply_with(image, overlays)
        if picture is not None:
            image = gain_map.replaced(image, operation.apply_to_map(picture, size))
        size = Size(image.width, image.height)
    return image


def _without_orientation(image: pyvips.Image) -> pyvips.Image:
    """The image without its orientation tag: the turns are steps of the plan."""
    if not image.get_typeof("orientation"):
        return image
    image = image.copy()
    image.remove("orientation")
    return image
