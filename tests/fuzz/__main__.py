"""`python -m tests.fuzz`: sends mutated requests to a real service. Ends with 1 at the first that breaks it."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import Broken, fuzz, replay


def main() -> int:
    """Parse the command line and fuzz."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="repeats the cases of another run")
    parser.add_argument("--saved", type=Path, default=Path("tests/fuzz/.saved"), help="folder for cases to keep")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="send a saved case instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            if options.replay:
                report = replay(options.replay, Path(folder))
            else:
                print(f"--seed {options.seed}", flush=True)
                report = fuzz(options.seed, options.seconds, Path(folder), options.saved)
        except Broken as error:
            print(error, file=sys.stderr)
            return 1
    statuses = ", ".join(f"{status}: {number}" for status, number in sorted(report.statuses.items()))
    print(f"{report.cases} cases; {statuses}; memory grew by {report.grown / 2**20:.1f} MiB")
    for file in report.crashes:
        print(f"{file} crashed a worker")
    return 0


if __name__ == "__main__":
    sys.exit(main())
