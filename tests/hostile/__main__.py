"""`python -m tests.hostile [TEXT]`: runs the examples whose names contain TEXT, and prints what they did."""

import sys
import tempfile
from pathlib import Path

from tests.hostile.examples import EXAMPLES, MIB
from tests.hostile.run import run

_LONGEST = 150
"""Milliseconds that a health check may wait on an idle machine."""


def main(text: str = "") -> int:
    """Print a line for each example. Returns 1 if one broke its limits."""
    bad = 0
    print(f"{'example':<40} {'status':>6} {'seconds':>8} {'health check':>13} {'memory':>9} {'cpu':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for outcome in run([example for example in EXAMPLES if text in example.name], Path(folder)):
            example = outcome.example
            good = outcome.status in example.statuses and outcome.wait <= _LONGEST
            good = good and outcome.memory <= example.memory and outcome.cpu <= example.cpu
            bad += not good
            print(
                f"{example.name:<40} {outcome.status:>6} {outcome.seconds:>8.2f} {outcome.wait:>10.0f} ms"
                f" {outcome.memory / MIB:>5.0f} MiB {outcome.cpu:>5.2f} s{'' if good else '  <--'}",
                flush=True,
            )
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
