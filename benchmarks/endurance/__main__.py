"""The command line: `python -m benchmarks.endurance NAME`."""

import sys

from benchmarks.endurance import guessing, kills, large, overload, soak, spaces
from measuring.figures import run_check

_DESCRIPTION = """\
Check what the service withstands. The exit code is 1 when a target is missed and 2 when nothing could be measured. Keep
the machine idle meanwhile: latencies are judged."""
_CHECKS = {"large": large, "overload": overload, "soak": soak, "kills": kills, "spaces": spaces, "guessing": guessing}

if __name__ == "__main__":
    sys.exit(run_check("benchmarks.endurance", _DESCRIPTION, _CHECKS))
