"""No hostile request is a 500, or takes much of the event loop's time, or much memory."""

from pathlib import Path

from tests.hostile.examples import EXAMPLES
from tests.hostile.run import run

_FROZEN = 2000
"""Milliseconds that a health check may wait on a busy machine. A parser that blocks the event loop takes longer."""


def test_no_example_breaks_its_limits(tmp_path: Path) -> None:
    """`make hostile` has a much lower limit on the wait of a health check, which depends on the load of the machine."""
    outcomes = list(run(EXAMPLES, tmp_path))
    assert len(outcomes) == len(EXAMPLES)
    for outcome in outcomes:
        assert outcome.status in outcome.example.statuses, outcome
        assert outcome.wait <= _FROZEN, outcome
        assert outcome.cpu <= outcome.example.cpu, outcome
        assert outcome.memory < outcome.example.memory, outcome
