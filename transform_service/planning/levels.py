"""Decides from which level a render can start, and which levels it can make on its way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from imaging.formats import Rate
from imaging.geometry import Part, Size
from imaging.header import Header
from imaging.levels import Level, sizes, smallest_for
from transform_service.operations.crop import Crop
from transform_service.operations.resize import Resize
from transform_service.planning.cost import decoder_shrink
from transform_service.planning.plan import Cost, Plan, Step

_MADE = Rate(15, 16)
"""The cost of scaling, holding and writing one pixel of a level."""


def needs_original(plan: Plan) -> str:
    """Why a plan needs the original, whichever levels there are; empty if it can start from a level."""
    deciding = next((str(operation) for operation in plan.operations if operation.decides()), None)
    reasons = (
        (plan.verify or plan.unchanged, "the encoded pixels are kept"),
        (plan.frames > 1 or plan.header.frames > 1, "the image has several frames"),
        (_beginning(plan) is None, "the chain does not begin with a downscale, or with a crop and a downscale"),
        (plan.gain_map, "levels have no gain map"),
        (plan.encoding.keep_profile, "levels are sRGB"),
        (deciding is not None, f"{deciding} looks at the pixels"),
    )
    return next((reason for applies, reason in reasons if applies), "")


def level_for(plan: Plan) -> int | None:
    """The side of the level from which a render would start if the image had all its levels; None for none."""
    beginning = None if needs_original(plan) else _beginning(plan)
    return None if beginning is None else beginning.smallest_of(sizes(plan.header))


def from_level(plan: Plan, levels: Sequence[Level]) -> tuple[Plan, Level] | None:
    """The same plan from the smallest of these levels that has enough pixels, and that level; None without one."""
    beginning = None if not levels or needs_original(plan) else _beginning(plan)
    if beginning is None:
        return None
    by_side = {level.side: level for level in levels}
    side = beginning.smallest_of({side: level.header.size for side, level in by_side.items()})
    if side is None:
        return None
    # The level of an opaque image has no alpha, but the steps expect it.
    header = by_side[side].header.model_copy(update={"alpha": plan.header.alpha})
    load, part = beginning.load, beginning.part
    return replace(plan, header=header, level=True, load=load, part=part, steps=beginning.rest), by_side[side]


def missing(header: Header, levels: Sequence[Level]) -> tuple[int, ...]:
    """The sides of the levels that an image can have besides these."""
    there = {level.side for level in levels}
    return tuple(side for side in sizes(header) if side not in there)


def can_make_levels(plan: Plan) -> bool:
    """Whether levels can be made on the way, since the plan has all pixels of the original decoded anyway.

    Not of images with alpha, whose levels take several times as long.
    """
    return plan.load is not None and decoder_shrink(plan) == 1 and not plan.header.alpha


def making_cost(header: Header, sides: Sequence[int]) -> Cost:
    """What making these levels costs in addition to decoding."""
    pixels = sum(size.pixels for side, size in sizes(header).items() if side in sides)
    return Cost(_MADE.nanoseconds * pixels / 1e9, int(_MADE.bytes * pixels))


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What a level replaces of a plan: a downscale of the whole image, or of a part."""

    load: Resize
    target: Size
    part: Part | None
    rest: tuple[Step, ...]

    def smallest_of(self, offered: Mapping[int, Size]) -> int | None:
        """The side of the smallest level that has enough pixels in the part that is shown; None if none has."""
        if part := self.part:
            shown = {side: (size.width * part.width, size.height * part.height) for side, size in offered.items()}
            offered = {side: Size(int(width), int(height)) for side, (width, height) in shown.items()}
        return smallest_for(self.target, offered)


def _beginning(plan: Plan) -> _Beginning | None:
    if plan.load:
        return _Beginning(plan.load, plan.load.output_size(plan.header.size), None, plan.steps)
    match plan.steps:
        case (Step(operation=Crop(left=int(left), top=int(top)) as crop), Step(operation=Resize() as resize), *rest):
            size = crop.output_size(plan.header.size)
            target = resize.output_size(size)
            if resize.fit == "fill" and target != size and size.contains(target):
                part = Part.at(left, top, size, plan.header.size)
                return _Beginning(Resize.to(target), target, part, tuple(rest))
    return None
