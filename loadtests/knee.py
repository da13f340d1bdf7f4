"""The knee: the most users that get good service, found by raising the load step by step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.ledger import Ledger, Step, Summary

_FACTOR = 1.5
"""Users of a step by those of the step before."""
_GROWTH = 1.25
"""If half as many users more do not get a quarter more answers, a limit is reached: each waits longer than before."""
_BAD_SHARE, _FEW = 0.001, 5
"""A step is good up to this share of errors and refusals, as in the thresholds. A few may be chance."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a step showed."""

    users: int
    all: Summary
    viewers: Summary

    @property
    def bad_share(self) -> float:
        """Errors and refusals among all answers."""
        return self.all.error_share + self.all.refused_share

    @property
    def is_bad(self) -> bool:
        """Whether there are too many of them."""
        return self.bad_share > _BAD_SHARE and self.bad_share * self.all.requests > _FEW


def reading(ledger: Ledger, step: Step) -> Reading:
    """Read a step."""
    return Reading(step.users, *(ledger.summary(group, step.start, step.end) for group in ("all", "viewers")))


def bend(readings: Sequence[Reading], p95_limit_ms: float) -> str | None:
    """Why the last step is not good; None if it is."""
    last = readings[-1]
    p95 = last.viewers.p95_ms
    if last.is_bad:
        return f"{last.bad_share:.1%} of the answers with {last.users} users were errors or refusals"
    if p95 is None:
        return f"viewers got no answers with {last.users} users"
    if p95 > p95_limit_ms:
        return f"p95 of viewers with {last.users} users was {p95:.0f} ms, over {p95_limit_ms:.0f} ms"
    before = next((reading for reading in reversed(readings) if reading.users < last.users), None)
    if before and last.all.goodput < before.all.goodput * _GROWTH:
        growth = last.all.goodput / before.all.goodput - 1
        return f"goodput grew by only {growth:+.0%} from {before.users} to {last.users} users"
    return None


def is_over(readings: Sequence[Reading], p95_limit_ms: float) -> bool:
    """Whether the ramp ends: the last step was bad twice. Once may be due to other load on the machine."""
    again = len(readings) > 1 and readings[-1].users == readings[-2].users
    return again and bend(readings, p95_limit_ms) is not None


def last_good(readings: Sequence[Reading], p95_limit_ms: float) -> Reading | None:
    """The last good step, if any."""
    good = [last for number, last in enumerate(readings, 1) if bend(readings[:number], p95_limit_ms) is None]
    return good[-1] if good else None


def knee(readings: Sequence[Reading], p95_limit_ms: float) -> Reading | None:
    """The last good step of a ramp that reached a limit; None if it was interrupted or did not reach one.

    The first step is never the knee: fewer users might get as much.
    """
    best = last_good(readings, p95_limit_ms)
    return best if best and best.users > readings[0].users and is_over(readings, p95_limit_ms) else None


def next_users(users: int) -> int:
    """The users of the next step."""
    return math.ceil(users * _FACTOR)
