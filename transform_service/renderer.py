"""Renders a plan with libvips. Runs in renderer processes, never in the one that speaks HTTP."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from service_kit import vips
from service_kit.errors import Unavailable, UnprocessableImage
from service_kit.images import Header
from service_kit.spool import room_for
from service_kit.vips import pyvips
from transform_service import colour, decoders
from transform_service.encoders import ENCODERS
from transform_service.geometry import Frame, Size
from transform_service.plan import Plan, Step
from transform_service.rendered import Rendered
from transform_service.strip import KEEPERS, without_metadata

_MOST_KEPT = 96 * 1024**2
"""Resident bytes above which memory is given back at once; below, only when there is nothing to do."""

_SMALL_PIXELS = 1_000_000
"""Results up to this size are made before they are encoded, so that one knows what each took. Of larger ones only some
lines are in memory at a time."""

Overlays = Mapping[str, Path]
"""The files of stored images that steps need besides their input, by image id."""


def initialize() -> None:
    """Once a process: see service_kit.vips.lock_down."""
    vips.lock_down()


def read_header(path: Path, max_pixels: int, max_frames: int, page: int) -> Header:
    """See service_kit.vips.read_header."""
    return vips.read_header(path, max_pixels, max_frames, page)


def render(source: Path, plan: Plan, overlays: Overlays, output: Path) -> Rendered:
    """Render the image at `source` into the new file `output`.

    Raises UnprocessableImage when the data is corrupt or truncated: never partial pixels.
    Raises Unavailable when a file is not there (any more), InsufficientStorage when the output finds no room.
    """
    started = rendered = time.perf_counter()
    try:
        with room_for("the result"), vips.decoding("the image"):
            if not (plan.unchanged and _kept(source, plan, output)):
                image = _treated(source, plan, overlays)
                if image.width * image.height <= _SMALL_PIXELS:
                    image = image.copy_memory()
                    rendered = time.perf_counter()
                ENCODERS[plan.encoding.format.name](image, os.fspath(output), plan.encoding.effective_quality)
                del image
        ended = time.perf_counter()
        if rendered == started:
            rendered = ended
        return Rendered(output.stat().st_size, rendered - started, ended - rendered)
    except UnprocessableImage:
        if all(path.exists() for path in (source, *overlays.values())):
            raise
        raise Unavailable("the image's bytes are gone; if it was not just deleted, try again") from None
    finally:
        if vips.resident_bytes() > _MOST_KEPT:
            vips.release_memory()


def _kept(source: Path, plan: Plan, output: Path) -> bool:
    """Keep the encoded pixels, if they are as they should be and whole; what is broken is found by decoding it."""
    if plan.stored.format not in KEEPERS:
        return False
    image = vips.load(source, plan.stored.format, **({"n": -1} if plan.frames > 1 else {}))
    plain = image.interpretation in {"srgb", "b-w"} and image.format == "uchar"
    if not plain or not colour.is_plain(image):
        return False
    image.avg()
    return without_metadata(source, output, plan.encoding.format.name)


def _treated(source: Path, plan: Plan, overlays: Overlays) -> pyvips.Image:
    if plan.frames > 1:
        return _animation(source, plan, overlays)
    if plan.load:
        image = decoders.scaled(source, plan.stored, plan.page, plan.load)
    else:
        image = decoders.whole(source, plan.stored.format, plan.page)
    return _apply(colour.srgb(_without_orientation(image)), plan, overlays)


def _animation(source: Path, plan: Plan, overlays: Overlays) -> pyvips.Image:
    """Every frame by itself, as the decoder gives them: what is right for one image is right for each of them.

    What is kept in memory is the results; the frames as they come are never there all at once.
    """
    treated = []
    for page in vips.load(source, plan.stored.format, n=-1).pagesplit():
        page.remove("page-height")  # else a turned page is taken for several
        treated.append(_apply(colour.srgb(_without_orientation(page)), plan, overlays).copy_memory())
    joined = pyvips.Image.arrayjoin(treated, across=1).copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", treated[0].height)
    return joined


def _apply(image: pyvips.Image, plan: Plan, overlays: Overlays) -> pyvips.Image:
    for step in plan.steps:
        image = _apply_step(image, step, plan, overlays)
        plan.limits.check_output(Size(image.width, image.height), step.operation)
    return image


def _apply_step(image: pyvips.Image, step: Step, plan: Plan, overlays: Overlays) -> pyvips.Image:
    if step.buffered:
        image = image.copy_memory()
    size = Size(image.width, image.height)
    # Resolved already, but for what stands behind a step whose result's size depends on the pixels.
    for operation in step.operation.resolve(Frame(size, image.hasalpha())):
        plan.limits.check(operation.output_size(size), plan.frames, operation)
        image = operation.apply_with(image, [overlays[image_id] for image_id in operation.overlays()])
        size = Size(image.width, image.height)
    return image


def _without_orientation(image: pyvips.Image) -> pyvips.Image:
    """The turns are steps of the plan; left in place, the tag would make savers and others turn again."""
    if not image.get_typeof("orientation"):
        return image
    image = image.copy()
    image.remove("orientation")
    return image
