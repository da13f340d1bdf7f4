"""The rules of the planner: each makes a chain cheaper without changing its result.

A rule is a pure function of the steps and the frame that they start from. The test with its name in
tests/transform_service/planning/test_rules.py proves it, and states the largest difference from the chain as written.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

from imaging.geometry import Frame, Size
from transform_service.operations.background import Background
from transform_service.operations.base import Operation, Steps
from transform_service.operations.blur import Blur
from transform_service.operations.crop import Crop
from transform_service.operations.flip import Flip
from transform_service.operations.flop import Flop
from transform_service.operations.grayscale import Grayscale
from transform_service.operations.resize import Resize
from transform_service.operations.rotate import Rotate

Rule = Callable[[Steps, Frame], Steps]

_LEAST_SIGMA = 2.0
"""The smallest standard deviation of a blur on a smaller grid, in pixels. Below, the grid is too coarse for a Gaussian.
"""
_FINE_CUT = 0.02
"""The cut of a Gaussian on the smaller grid: low, so that few pixels are enough for its shape."""
_COARSE_SIGMA = 5.0
"""From this standard deviation on, a blur covers enough pixels to keep its own cut."""
_WORTH_SHRINKING = 0.34
"""A blur moves only to a grid of at most this scale. Otherwise it saves too little to justify any difference."""
_SAME_SCALE = 0.02
"""How much the scales of the two directions may differ before a blur would no longer be round."""


def fill_corners(steps: Steps, _frame: Frame) -> Steps:
    """Insert the current background after each step that adds transparency."""
    filled: list[Operation] = []
    background: Background | None = None
    for index, step in enumerate(steps):
        filled.append(step)
        if isinstance(step, Background):
            background = step
        elif background and step.adds_transparency() and steps[index + 1 : index + 2] != (background,):
            filled.append(background)
    return tuple(filled)


def resolve(steps: Steps, frame: Frame) -> Steps:
    """Replace each step with its simplest form for its input frame, and drop steps without effect.

    Steps after one whose size depends on the pixels stay as they are.
    """
    resolved: list[Operation] = []
    for step, before in with_frames(steps, frame):
        resolved += step.resolve(before) if before.exact else [step]
    return tuple(resolved)


def fuse_turns(steps: Steps, _frame: Frame) -> Steps:
    """Combine adjacent quarter turns and mirrorings into at most one of each (dihedral group of the square)."""
    fused: list[Operation] = []
    turns = _Turns()
    for step in steps:
        if turns.take(step):
            continue
        fused += [*turns.plain(), step]
        turns = _Turns()
    return (*fused, *turns.plain())


def shrink_first(steps: Steps, frame: Frame) -> Steps:
    """Move a downscale before turns, mirrorings and grayscale, which then process fewer pixels."""
    moved = list(steps)
    frames = [before for _, before in with_frames(steps, frame)]
    for index in range(len(moved) - 1):
        first, second = moved[index : index + 2]
        if not (_is_plain(second) and (_is_turn(first) or isinstance(first, Grayscale)) and frames[index].exact):
            continue
        target = second.output_size(frames[index + 1].size)
        if target.pixels >= frames[index].size.pixels:
            continue
        swaps = first.output_size(Size(1, 2)) == Size(2, 1)
        moved[index : index + 2] = [Resize.to(target.swapped() if swaps else target), first]
        return tuple(moved)  # one at a time, since the frames in between have changed
    return steps


def crop_first(steps: Steps, frame: Frame) -> Steps:
    """Move a crop at a point before turns and mirrorings, which then process fewer pixels."""
    frames = [before for _, before in with_frames(steps, frame)]
    for index, (first, second) in enumerate(pairwise(steps)):
        if isinstance(second, Crop) and second.left is not None and _is_turn(first) and frames[index].exact:
            moved = _before_turn(second, first, frames[index].size)
            return (*steps[:index], moved, first, *steps[index + 2 :])  # one at a time, as above
    return steps


def merge_downscales(steps: Steps, frame: Frame) -> Steps:
    """Drop the first of two successive downscales. The size stays the same, and the result is more accurate."""
    merged: list[Operation] = []
    for step, before in with_frames(steps, frame):
        if merged and _is_plain(step) and _is_plain(merged[-1]) and before.exact:
            start = _frame_behind(tuple(merged[:-1]), frame).size
            between, target = before.size, step.output_size(before.size)
            if start.contains(between) and between.contains(target):
                merged[-1] = step
                continue
        merged.append(step)
    return tuple(merged)


def blur_behind_downscale(steps: Steps, frame: Frame) -> Steps:
    """If a downscale follows a blur, blur on a smaller grid instead, with the radius scaled.

    That is the grid of the downscale if the scaled blur has a standard deviation of at least `_LEAST_SIGMA` pixels
    there. Otherwise it is the smallest grid on which it does.
    """
    for index, (step, before) in enumerate(list(with_frames(steps, frame))[:-1]):
        following = steps[index + 1]
        if isinstance(step, Blur) and before.exact and _is_plain(following):
            moved = _blur_on_smaller_grid(step, before.size, following.output_size(before.size))
            if moved:
                return (*steps[:index], *moved, *steps[index + 2 :])
    return steps


RULES: tuple[Rule, ...] = (
    fill_corners,
    resolve,
    fuse_turns,
    shrink_first,
    crop_first,
    merge_downscales,
    blur_behind_downscale,
)
"""The rules in the order in which they run. They are repeated until nothing changes."""


def simplify(steps: Steps, frame: Frame) -> Steps:
    """Apply the rules until nothing changes."""
    while True:
        before = steps
        for rule in RULES:
            steps = rule(steps, frame)
        if steps == before:
            return steps


def with_frames(steps: Steps, frame: Frame) -> Iterator[tuple[Operation, Frame]]:
    """Each step with its input frame."""
    for step in steps:
        yield step, frame
        frame = step.output(frame)


def upright(orientation: int) -> Steps:
    """The turns for an EXIF orientation (1 to 8; EXIF 2.32, section 4.6.4)."""
    mirrored, quarters = {2: (1, 0), 3: (0, 2), 4: (1, 2), 5: (1, 3), 6: (0, 1), 7: (1, 1), 8: (0, 3)}.get(
        orientation, (0, 0)
    )
    return _Turns(quarters, mirrored=bool(mirrored)).plain()


class _Turns:
    """Quarter turns and mirrorings, combined: mirrored left to right or not, then turned by quarters."""

    def __init__(self, quarters: int = 0, *, mirrored: bool = False) -> None:
        self._quarters = quarters
        self._mirrored = mirrored

    def take(self, step: Operation) -> bool:
        """Add a step. Returns False if it is not a quarter turn or a mirroring."""
        if isinstance(step, Rotate) and step.quarters is not None:
            self._quarters += step.quarters
        elif isinstance(step, Flop | Flip):
            # Mirroring top to bottom is mirroring left to right, then half a turn.
            half_turn = 2 * isinstance(step, Flip)
            self._quarters, self._mirrored = half_turn - self._quarters, not self._mirrored
        else:
            return False
        return True

    def plain(self) -> Steps:
        """The fewest steps with the same effect."""
        quarters = self._quarters % 4
        if self._mirrored and quarters == 2:  # noqa: PLR2004
            return (Flip(),)
        mirror = (Flop(),) if self._mirrored else ()
        return (*mirror, Rotate.by_quarters(quarters)) if quarters else mirror


def _before_turn(crop: Crop, turn: Operation, size: Size) -> Crop:
    """The crop of an image of `size` that takes what `crop` takes after the turn."""
    part = crop.output_size(turn.output_size(size))
    left, top = crop.left or 0, crop.top or 0
    quarters = turn.quarters if isinstance(turn, Rotate) else 0
    if quarters in {1, 3}:
        part, left, top = part.swapped(), top, left
    # From the other side: mirrored left to right, or top to bottom.
    if isinstance(turn, Flop) or quarters in {2, 3}:
        left = size.width - left - part.width
    if isinstance(turn, Flip) or quarters in {1, 2}:
        top = size.height - top - part.height
    return Crop.at(left, top, part)


def _is_turn(step: Operation) -> bool:
    return _Turns().take(step)


def _is_plain(step: Operation) -> bool:
    return isinstance(step, Resize) and step.fit == "fill" and step.enlarge


def _frame_behind(steps: Steps, frame: Frame) -> Frame:
    for step in steps:
        frame = step.output(frame)
    return frame


def _blur_on_smaller_grid(blur: Blur, size: Size, target: Size) -> Steps:
    across, down = target.width / size.width, target.height / size.height
    if abs(across / down - 1) > _SAME_SCALE:
        return ()
    sigma = math.sqrt(blur.variance())
    if sigma * _WORTH_SHRINKING < _LEAST_SIGMA:
        return ()
    scale = max(math.sqrt(across * down), _LEAST_SIGMA / sigma)
    if scale > _WORTH_SHRINKING:
        return ()
    grid = size.scaled(scale)
    if target.contains(grid):
        grid = target
    left = sigma * grid.width / size.width
    moved = Blur.of_variance(left**2, _FINE_CUT if left < _COARSE_SIGMA else blur.cut)
    return (Resize.to(grid), moved, *(() if grid == target else (Resize.to(target),)))
