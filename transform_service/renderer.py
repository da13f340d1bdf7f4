"""Renders a plan with libvips. Runs in renderer processes, never in the one that speaks HTTP."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from service_kit import vips
from service_kit.images import Header
from service_kit.spool import room_for
from service_kit.vips import pyvips
from transform_service.encoders import ENCODERS
from transform_service.operations.base import Operation
from transform_service.planner import Plan

_SRGB = "srgb"
_UPRIGHT = 1


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a render came to: bytes written, and seconds of decoding, treating and encoding together."""

    bytes: int
    seconds: float


def initialize() -> None:
    """Once a process: see service_kit.vips.lock_down."""
    vips.lock_down()


def read_header(path: Path, max_pixels: int, max_frames: int) -> Header:
    """See service_kit.vips.read_header."""
    return vips.read_header(path, max_pixels, max_frames)


def render(source: Path, plan: Plan, output: Path) -> Rendered:
    """Render the image at `source` into the new file `output`.

    Raises UnprocessableImage when the data is corrupt or truncated: never partial pixels.
    """
    started = time.perf_counter()
    with room_for("the result"), vips.decoding("the image"):
        image = _treated(source, plan)
        ENCODERS[plan.encoding.format.name](image, os.fspath(output), plan.encoding.effective_quality)
    return Rendered(output.stat().st_size, time.perf_counter() - started)


def _treated(source: Path, plan: Plan) -> pyvips.Image:
    options = "[n=-1]" if plan.frames > 1 else ""
    first = plan.steps[0].open(source, plan.size, options) if plan.steps else None
    if first is not None:
        return _steps(_frames(first, plan), plan.steps[1:])
    image = pyvips.Image.new_from_file(f"{source}{options}", access="sequential", fail_on="error")
    return _steps(_frames(_srgb(_upright(image)), plan), plan.steps)


def _frames(image: pyvips.Image, plan: Plan) -> list[pyvips.Image]:
    """One image a frame; several are read in any order, so they are decoded first."""
    if plan.frames == 1:
        return [image]
    return image.copy_memory().pagesplit()


def _steps(frames: list[pyvips.Image], steps: tuple[Operation, ...]) -> pyvips.Image:
    treated = [_treat(frame, steps, in_memory=len(frames) > 1) for frame in frames]
    if len(treated) == 1:
        return treated[0]
    joined = pyvips.Image.arrayjoin(treated, across=1).copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", treated[0].height)
    return joined


def _treat(image: pyvips.Image, steps: tuple[Operation, ...], *, in_memory: bool) -> pyvips.Image:
    for step in steps:
        if not (step.sequential or in_memory):
            image, in_memory = image.copy_memory(), True
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
