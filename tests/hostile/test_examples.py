"""Nobody waits for a hostile request, and none is a 500."""

from pathlib import Path

from tests.hostile.examples import EXAMPLES
from tests.hostile.run import run

_LONGEST = 1000
"""Milliseconds. The examples used to take 1 to 8 s; `make hostile` has the limit for an idle machine."""


def test_no_example_breaks_its_limits(tmp_path: Path) -> None:
    outcomes = list(run(EXAMPLES, tmp_path))
    assert len(outcomes) == len(EXAMPLES)
    for outcome in outcomes:
        assert outcome.status in outcome.example.statuses, outcome
        assert outcome.wait < _LONGEST, outcome
        assert outcome.memory < outcome.example.memory, outcome
