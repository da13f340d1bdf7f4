"""How many users there are in each second of a run, for every shape but the ramp."""

from dataclasses import dataclass
from itertools import accumulate

SHAPES = ("steady", "ramp", "spike", "soak", "cold")
SECONDS = {"steady": 120, "spike": 60, "soak": 3600, "cold": 120}
LEAST_SPIKE_SECONDS = 20
"""Of what is measured before and after a spike together: a percentile of less means nothing."""
_WARM_UP = {"steady": 30, "spike": 30, "soak": 120}
_SPIKE_SECONDS, _SPIKE_FACTOR = 20, 10


@dataclass(frozen=True, slots=True)
class Stage:
    """So many users for so long."""

    name: str
    users: int
    seconds: int


def plan(shape: str, users: int, seconds: int | None = None, warm_up: int | None = None) -> tuple[Stage, ...]:
    """The stages of a shape. `seconds` excludes the warm-up; for a spike, it is the time before and after it."""
    length = SECONDS[shape] if seconds is None else seconds
    warm = _WARM_UP.get(shape, 0) if warm_up is None or shape == "cold" else warm_up
    measured = [Stage("measured", users, length)]
    if shape == "spike":
        spike = Stage("during", users * _SPIKE_FACTOR, _SPIKE_SECONDS)
        measured = [Stage("before", users, length // 2), spike, Stage("after", users, length // 2)]
    return tuple(stage for stage in (Stage("warm-up", users, warm), *measured) if stage.seconds)


def users_at(stages: tuple[Stage, ...], second: float) -> int | None:
    """The users so many seconds after the start; None when the run is over."""
    ends = accumulate(stage.seconds for stage in stages)
    return next((stage.users for stage, end in zip(stages, ends, strict=True) if second < end), None)


def windows(stages: tuple[Stage, ...], start: int) -> dict[str, tuple[int, int]]:
    """The start and the end of each stage of a run that begins at `start`."""
    ends = accumulate((stage.seconds for stage in stages), initial=start)
    return {stage.name: (end, end + stage.seconds) for stage, end in zip(stages, ends, strict=False)}
