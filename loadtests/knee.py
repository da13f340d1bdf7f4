"""The knee: the most users that are served well, found by raising the load step by step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.ledger import Ledger, Step
from loadtests.tallies import Summary

FACTOR = 1.5
"""Users of a step by those of the one before."""
_GROWTH = 1.25
"""Half as many users again that do not get a quarter more have met a limit: each of them waits longer than before."""
_BAD_SHARE, _FEW = 0.001, 5
"""Failed or refused answers of a step that is still good, as the thresholds have it: renders that queue are refused. So
few may be chance, and end no climb."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a step showed."""

    users: int
    all: Summary
    viewers: Summary

    @property
    def bad_share(self) -> float:
        """Failed and refused of all answers."""
        return self.all.error_share + self.all.refused_share

    @property
    def is_bad(self) -> bool:
        """Whether they are more than a site may have."""
        return self.bad_share > _BAD_SHARE and self.bad_share * self.all.requests > _FEW


def reading(ledger: Ledger, step: Step) -> Reading:
    """What a step showed."""
    all_, viewers = (ledger.summary(group, step.start, step.end) for group in ("all", "viewers"))
    return Reading(step.users, all_, viewers)


def bend(readings: Sequence[Reading], p95_limit_ms: float) -> str | None:
    """Why the last step is not good any more; None where it is."""
    last = readings[-1]
    p95 = last.viewers.p95_ms
    if last.is_bad:
        return f"{last.bad_share:.1%} of the answers at {last.users} users were errors or refusals"
    if p95 is None:
        return f"no viewer got an answer at {last.users} users"
    if p95 > p95_limit_ms:
        return f"p95 of viewers at {last.users} users was {p95:.0f} ms, over {p95_limit_ms:.0f} ms"
    before = next((reading for reading in reversed(readings) if reading.users < last.users), None)
    if before and last.all.goodput < before.all.goodput * _GROWTH:
        growth = last.all.goodput / before.all.goodput - 1
        return f"goodput at {last.users} users grew by {growth:+.0%} only, from that of {before.users} users"
    return None


def is_over(readings: Sequence[Reading], p95_limit_ms: float) -> bool:
    """Whether the climb ends: the last step was bad twice. Once may be the machine's, which others use too."""
    again = len(readings) > 1 and readings[-1].users == readings[-2].users
    return again and bend(readings, p95_limit_ms) is not None


def last_good(readings: Sequence[Reading], p95_limit_ms: float) -> Reading | None:
    """The last good step; None where none was good."""
    good = [last for number, last in enumerate(readings, 1) if bend(readings[:number], p95_limit_ms) is None]
    return good[-1] if good else None


def knee(readings: Sequence[Reading], p95_limit_ms: float) -> Reading | None:
    """The last good step of a climb that met a limit; None of one that was interrupted or met none.

    Not the first step: whether fewer users get as much, nobody has tried.
    """
    best = last_good(readings, p95_limit_ms)
    return best if best and best.users > readings[0].users and is_over(readings, p95_limit_ms) else None


def next_users(users: int) -> int:
    """The users of the step after this one."""
    return math.ceil(users * FACTOR)
