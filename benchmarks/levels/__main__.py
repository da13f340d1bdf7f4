"""The command line: `python -m benchmarks.levels NAME`."""

import sys

from benchmarks.levels import background, day, fidelity, refill, sizes, speed
from measuring.figures import run_check

_DESCRIPTION = """\
Measure what levels save and cost. The exit code is 1 when a target is missed and 2 when nothing could be measured. Keep
the machine idle meanwhile: latencies are judged."""

if __name__ == "__main__":
    checks = {
        "speed": speed,
        "sizes": sizes,
        "fidelity": fidelity,
        "background": background,
        "day": day,
        "refill": refill,
    }
    sys.exit(run_check("benchmarks.levels", _DESCRIPTION, checks))
