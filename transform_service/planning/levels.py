"""Decides from which level a render can start, and which levels it can make on its way."""

from collections.abc import Sequence
from dataclasses import replace

from imaging.formats import Rate
from imaging.geometry import Size
from imaging.header import Header
from imaging.levels import Level, sizes, smallest_for
from transform_service.planning.cost import decoder_shrink
from transform_service.planning.plan import Cost, Plan

_MADE = Rate(15, 16)
"""The cost of scaling, holding and writing one pixel of a level."""


def needs_original(plan: Plan) -> str:
    """Why a plan needs the original, whichever levels there are; empty if it can start from a level."""
    deciding = next((str(operation) for operation in plan.operations if operation.decides()), None)
    reasons = (
        (plan.verify or plan.unchanged, "the encoded pixels are kept"),
        (plan.frames > 1 or plan.header.frames > 1, "the image has several frames"),
        (plan.load is None, "the chain does not begin with a downscale of the whole image"),
        (plan.gain_map, "levels have no gain map"),
        (plan.encoding.keep_profile, "levels are sRGB"),
        (deciding is not None, f"{deciding} looks at the pixels"),
    )
    return next((reason for applies, reason in reasons if applies), "")


def level_for(plan: Plan) -> int | None:
    """The side of the level from which a render would start if the image had all its levels; None for none."""
    return None if needs_original(plan) else smallest_for(_target(plan), sizes(plan.header))


def from_level(plan: Plan, levels: Sequence[Level]) -> tuple[Plan, Level] | None:
    """The same plan from the smallest of these levels that has enough pixels, and that level; None without one."""
    if not levels or needs_original(plan):
        return None
    by_side = {level.side: level for level in levels}
    side = smallest_for(_target(plan), {side: level.header.size for side, level in by_side.items()})
    if side is None:
        return None
    # The level of an opaque image has no alpha, but the steps expect it.
    header = by_side[side].header.model_copy(update={"alpha": plan.header.alpha})
    return replace(plan, header=header, level=True), by_side[side]


def missing(header: Header, levels: Sequence[Level]) -> tuple[int, ...]:
    """The sides of the levels that an image can have besides these."""
    there = {level.side for level in levels}
    return tuple(side for side in sizes(header) if side not in there)


def can_make_levels(plan: Plan) -> bool:
    """Whether levels can be made on the way, since the plan has all pixels of the original decoded anyway.

    Not of images with alpha, whose levels take several times as long.
    """
    return decoder_shrink(plan) == 1 and not plan.header.alpha


def making_cost(header: Header, sides: Sequence[int]) -> Cost:
    """What making these levels costs in addition to decoding."""
    pixels = sum(size.pixels for side, size in sizes(header).items() if side in sides)
    return Cost(_MADE.nanoseconds * pixels / 1e9, int(_MADE.bytes * pixels))


def _target(plan: Plan) -> Size:
    assert plan.load
    return plan.load.output_size(plan.header.size)
