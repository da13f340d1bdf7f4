"""Measures goodput: every system in turn, round after round, so that disturbances affect all of them alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.levels.systems import Levelled, fetch, prepare
from benchmarks.levels.work import Work
from benchmarks.load import Job, Outcome, Target, generate
from benchmarks.results import CLIENTS
from benchmarks.speed import check
from benchmarks.systems.base import HttpSystem
from measuring.percentiles import percentile
from measuring.processes import in_a_process

_OUTPUT = "jpeg"
"""For every system and input."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One system doing one piece of work in one round."""

    system: str
    work: str
    round: int
    goodput: float
    """Right answers per second."""
    p50_ms: float
    wrong: int
    """Answers that do not count."""

    def __str__(self) -> str:
        wrong = f"  WRONG: {self.wrong}" if self.wrong else ""
        said = f"  round {self.round + 1}  {self.work:36}{self.system:16}"
        return f"{said}{self.goodput:8.1f}/s  p50 {self.p50_ms:7.1f} ms{wrong}"


@dataclass(frozen=True, slots=True)
class Prepared:
    """The requests of one piece of work to one system, whose right answers are known."""

    system: HttpSystem
    work: Work
    targets: list[Target]
    passes: int
    """How many times all photos are requested in a round: fast systems need more of them for a reliable figure."""

    def measured(self, number: int) -> Cell:
        """One round."""
        outcome = _run(self.system, self.targets * self.passes)
        goodput = len(outcome.latencies) / outcome.seconds
        p50 = percentile(outcome.latencies, 0.5) * 1000
        return Cell(self.system.name, self.work.title, number, goodput, p50, sum(outcome.failures.values()))


def prepared(systems: Sequence[HttpSystem], work: Work, seconds: float) -> list[Prepared]:
    """Make levels, check every answer once, and see how many passes take so many seconds.

    Raises CannotStart without levels, and SystemFailed for a wrong answer.
    """
    return [_prepared(system, work, seconds) for system in systems]


def rounds(tasks: Sequence[Sequence[Prepared]], count: int) -> Iterator[Cell]:
    """All cells, round after round. A different system is first in each round."""
    for number in range(count):
        for task in tasks:
            first = number % len(task)
            for each in (*task[first:], *task[:first]):
                yield each.measured(number)


def _prepared(system: HttpSystem, work: Work, seconds: float) -> Prepared:
    if isinstance(system, Levelled):
        system.make_levels(work.photos)
    else:
        prepare(system, work.photos)
    targets = []
    for photo, body in zip(work.photos, fetch(system, work.photos, work.chain, _OUTPUT), strict=True):
        check(system.name, photo, work.chain, body, _OUTPUT)
        targets.append(Target(system.path(photo, work.chain, _OUTPUT), f"image/{_OUTPUT}", len(body)))
    passes = max(1, round(seconds / _run(system, targets).seconds))
    return Prepared(system, work, targets, passes)


def _run(system: HttpSystem, targets: list[Target]) -> Outcome:
    return in_a_process(generate, Job(system.urls, CLIENTS, targets))
