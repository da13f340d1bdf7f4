"""How many users there are at which second of a run, for every shape but the ramp, which finds that out."""

from dataclasses import dataclass

SPIKE_SECONDS = 20
SPIKE_FACTOR = 10
LEAST_SPIKE_SECONDS = 20
"""Of what is measured before and after a spike together: a percentile of less says nothing."""


@dataclass(frozen=True, slots=True)
class Stage:
    """So many users for so long."""

    name: str
    users: int
    seconds: int


SECONDS = {"steady": 120, "spike": 60, "soak": 3600, "cold": 120}
_WARM_UP = {"steady": 30, "spike": 30, "soak": 120}
SHAPES = ("steady", "ramp", "spike", "soak", "cold")


def plan(shape: str, users: int, seconds: int | None = None, warm_up: int | None = None) -> tuple[Stage, ...]:
    """The stages of a shape. `seconds`: how long is measured, of a spike before and after it; without the warm-up."""
    length = SECONDS[shape] if seconds is None else seconds
    warm = _WARM_UP.get(shape, 0) if warm_up is None or shape == "cold" else warm_up
    stages = (Stage("warm-up", users, warm), *_measured(shape, users, length))
    return tuple(stage for stage in stages if stage.seconds)


def _measured(shape: str, users: int, seconds: int) -> tuple[Stage, ...]:
    if shape == "spike":
        spike = Stage("during", users * SPIKE_FACTOR, SPIKE_SECONDS)
        return Stage("before", users, seconds // 2), spike, Stage("after", users, seconds // 2)
    return (Stage("measured", users, seconds),)


def users_at(stages: tuple[Stage, ...], second: float) -> int | None:
    """How many users there are so long after the start; None when it is over."""
    for stage in stages:
        second -= stage.seconds
        if second < 0:
            return stage.users
    return None


def windows(stages: tuple[Stage, ...], start: int) -> dict[str, tuple[int, int]]:
    """From when until when each stage lasted, by name, where the run began at `start`."""
    found = {}
    for stage in stages:
        found[stage.name] = (start, start + stage.seconds)
        start += stage.seconds
    return found
