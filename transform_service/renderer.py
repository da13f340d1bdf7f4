"""Renders a plan with libvips. Runs in renderer processes, never in the one that speaks HTTP."""

import enum
import os
import time
from pathlib import Path

from service_kit import vips
from service_kit.errors import Unavailable, UnprocessableImage
from service_kit.images import Header
from service_kit.spool import room_for
from service_kit.vips import pyvips
from transform_service.encoders import ENCODERS
from transform_service.operations.base import Operation, Reads
from transform_service.planner import Plan
from transform_service.rendered import Rendered

_SRGB = "srgb"
_UPRIGHT = 1
_LONG_SECONDS = 0.1
"""A render that took longer than this used memory that is worth giving back."""


def initialize() -> None:
    """Once a process: see service_kit.vips.lock_down."""
    vips.lock_down()


def read_header(path: Path, max_pixels: int, max_frames: int) -> Header:
    """See service_kit.vips.read_header."""
    return vips.read_header(path, max_pixels, max_frames)


def render(source: Path, plan: Plan, output: Path) -> Rendered:
    """Render the image at `source` into the new file `output`.

    Raises UnprocessableImage when the data is corrupt or truncated: never partial pixels.
    Raises Unavailable when the file is not there (any more), InsufficientStorage when the output finds no room.
    """
    started = time.perf_counter()
    try:
        with room_for("the result"), vips.decoding("the image"):
            image = _treated(source, plan)
            ENCODERS[plan.encoding.format.name](image, os.fspath(output), plan.encoding.effective_quality)
        del image
        return Rendered(output.stat().st_size, time.perf_counter() - started)
    except UnprocessableImage:
        if source.exists():
            raise
        raise Unavailable("the image's bytes are gone; if it was not just deleted, try again") from None
    finally:
        if time.perf_counter() - started > _LONG_SECONDS:
            vips.release_memory()


class _Pixels(enum.Enum):
    """Where the pixels of an image come from when they are asked for."""

    DECODER = enum.auto()
    """From the file, once, from top to bottom."""
    PIPELINE = enum.auto()
    """Computed at every asking: asked for in overlapping pieces, they are computed again and again."""
    MEMORY = enum.auto()


def _treated(source: Path, plan: Plan) -> pyvips.Image:
    if plan.frames > 1:
        return _animation(source, plan)
    first = plan.steps[0].open(source, plan.size) if plan.steps else None
    if first is not None:
        return _treat(first, _Pixels.PIPELINE, plan.steps[1:])
    image = pyvips.Image.new_from_file(os.fspath(source), access="sequential", fail_on="error")
    return _treat(_srgb(_upright(image)), _Pixels.DECODER, plan.steps)


def _animation(source: Path, plan: Plan) -> pyvips.Image:
    """Every frame by itself: what is right for one image is right for each of them."""
    roll = pyvips.Image.new_from_file(f"{source}[n=-1]", access="sequential", fail_on="error").copy_memory()
    pages = roll.pagesplit()
    for page in pages:
        page.remove("page-height")  # else a turned page is taken for several
    treated = [_treat(_srgb(_upright(page)), _Pixels.MEMORY, plan.steps) for page in pages]
    joined = pyvips.Image.arrayjoin(treated, across=1).copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", treated[0].height)
    return joined


def _treat(image: pyvips.Image, pixels: _Pixels, steps: tuple[Operation, ...]) -> pyvips.Image:
    """Apply the steps; between two that read more than points the pixels are computed, once."""
    for step in steps:
        if step.reads is not Reads.POINT:
            streamed = step.reads is Reads.ROWS and pixels is _Pixels.DECODER
            if pixels is not _Pixels.MEMORY and not streamed:
                image = image.copy_memory()
            pixels = _Pixels.PIPELINE
        image = step.apply(image)
    return image


def _upright(image: pyvips.Image) -> pyvips.Image:
    if not image.get_typeof("orientation") or image.get("orientation") == _UPRIGHT:
        return image
    return image.copy_memory().autorot()


def _srgb(image: pyvips.Image) -> pyvips.Image:
    """8-bit sRGB or grey, by the embedded profile where there is one; CMYK without one by libvips' own."""
    if image.get_typeof("icc-profile-data") or image.interpretation == "cmyk":
        try:
            return image.icc_transform(_SRGB, embedded=True, input_profile="cmyk" if image.bands > 3 else _SRGB)  # noqa: PLR2004
        except pyvips.Error:
            pass  # a profile that does not fit its image: go by the bands alone, as browsers do
    if image.interpretation in {"grey16", "b-w"}:
        return image.colourspace("b-w")
    return image if image.interpretation == _SRGB and image.format == "uchar" else image.colourspace(_SRGB)
