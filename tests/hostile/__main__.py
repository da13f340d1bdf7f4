"""`python -m tests.hostile`: runs the examples, and prints what they did."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.hostile.examples import EXAMPLES, MIB
from tests.hostile.run import Outcome, run, run_against

_LONGEST = 150
"""Milliseconds that a health check may wait on an idle machine."""


def main() -> int:
    """Print a line for each example. Returns 1 if one broke its limits."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description="Run the hostile examples.")
    parser.add_argument("text", nargs="?", default="", help="run only those with this text in their names")
    parser.add_argument("--url", help="run them against this service, such as the containers, whose memory is unknown")
    options = parser.parse_args()
    examples = [example for example in EXAMPLES if options.text in example.name]
    print(f"{'example':<40} {'status':>6} {'seconds':>8} {'health check':>13} {'memory':>9} {'cpu':>7}")
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run_against(options.url, examples) if options.url else run(examples, Path(folder))
        return min(sum([_show(outcome) for outcome in outcomes]), 1)


def _show(outcome: Outcome) -> bool:
    """Print an outcome. Returns whether it broke a limit."""
    example = outcome.example
    good = outcome.status in example.statuses and outcome.wait <= _LONGEST
    good = good and outcome.memory <= example.memory and outcome.cpu <= example.cpu
    print(
        f"{example.name:<40} {outcome.status:>6} {outcome.seconds:>8.2f} {outcome.wait:>10.0f} ms"
        f" {outcome.memory / MIB:>5.0f} MiB {outcome.cpu:>5.2f} s{'' if good else '  <--'}",
        flush=True,
    )
    return not good


if __name__ == "__main__":
    sys.exit(main())
