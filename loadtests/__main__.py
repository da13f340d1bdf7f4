"""The command line: `python -m loadtests`."""

import signal
import sys

from loadtests import thresholds
from loadtests.faults import NoFault
from loadtests.locust_process import NothingMeasured
from loadtests.options import Options
from loadtests.run import NoFolder, run
from loadtests.stack import NoStack
from loadtests.target import TargetDown
from measuring.photos import NoPhotos

_DESCRIPTION = """\
Load an image service as a real site does: with viewers, uploaders, programs and attackers.
Without --target, the stack of docker-compose.yml is started for the run and removed afterwards.
The report is written to loadtests/reports/.

shapes:
  steady  a constant number of users: 70 % of the last knee, or --users
  ramp    more and more users, until service gets worse: finds the knee
  spike   ten times the users for 20 seconds
  soak    steady, for an hour
  cold    images that no cache has, and all users at once"""
_EPILOG = """\
exit codes: 0 all thresholds are kept; 1 some are broken, and each is printed on a line; 2 nothing could be measured"""


def main() -> int:
    """Run and judge."""
    options = Options.parse(_DESCRIPTION, _EPILOG)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the stack is removed
    try:
        verdicts = run(options)
    except (TargetDown, NoStack, NoPhotos, NoFolder, NoFault, NothingMeasured, thresholds.BadThresholds) as error:
        print(f"loadtests: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("loadtests: interrupted before anything was measured", file=sys.stderr)
        return 130
    failed = thresholds.broken(verdicts)
    for verdict in failed:
        print(f"threshold broken: {verdict}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
