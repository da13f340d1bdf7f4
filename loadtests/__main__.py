"""The command line: `python -m loadtests`."""

import argparse
import shlex
import signal
import sys
from pathlib import Path

from loadtests import faults, plans, thresholds
from loadtests.faults import Fault, NoFault
from loadtests.locust_process import NothingMeasured
from loadtests.photos import NoPhotos
from loadtests.run import NoFolder, Options, run
from loadtests.stack import NoStack
from loadtests.target import TargetDown

_DESCRIPTION = """\
Loads an image service as a real site does: viewers, uploaders, programs and attackers.
Without --target it starts the stack of docker-compose.yml for itself, and removes it at the end.
The report is written to loadtests/reports/.

shapes:
  steady  as many users all the time: 70 % of the last knee, or --users
  ramp    more and more users, until it gets no better: finds the knee
  spike   ten times the users for 20 seconds
  soak    steady, for an hour
  cold    images that no cache has, and all users at once"""
_EPILOG = """\
exit codes: 0 all thresholds are kept; 1 some are broken, each printed in a line; 2 nothing could be measured"""


def main() -> int:
    """Run, and judge."""
    options = _options()
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m loadtests",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Options("steady")
    parser.add_argument("--shape", choices=plans.SHAPES, help="default: steady; with --web: none, users are set there")
    parser.add_argument("--target", metavar="URL", help="a running service, as http://127.0.0.1:8080")
    parser.add_argument("--users", type=_positive, help="users, of a ramp in its first step")
    parser.add_argument("--seconds", type=_positive, help="how long is measured, after the warm-up")
    parser.add_argument("--warm-up", type=_seconds, metavar="SECONDS", help="load that is not judged, at first")
    parser.add_argument("--step-seconds", type=_positive, default=default.step_seconds, help="of a ramp's steps (20)")
    parser.add_argument("--most-users", type=_positive, default=default.most_users, help="of a ramp (5000)")
    parser.add_argument("--images", type=_positive, default=default.images, help="how many are seeded (40)")
    parser.add_argument("--no-warm", dest="warm", action="store_false", help="do not render the usual variants before")
    parser.add_argument("--processes", type=_positive, default=1, help="processes of locust on this machine (1)")
    parser.add_argument("--workers", type=int, default=0, help="workers on other machines to wait for (0)")
    parser.add_argument("--web", type=int, nargs="?", const=8089, metavar="PORT", help="with locust's page (8089)")
    parser.add_argument("--no-hits", dest="hits", action="store_false", help="do not measure hits with wrk")
    parser.add_argument(
        "--shared-cores", dest="apart", action="store_false", help="own stack and load generator on all cores together"
    )
    parser.add_argument("--fault", choices=faults.NAMES, help="break a part of the own stack for a while")
    parser.add_argument("--fault-after", type=_seconds, default=40, help="seconds from the start (40)")
    parser.add_argument("--fault-seconds", type=_positive, default=15, help="how long (15)")
    parser.add_argument("--thresholds", type=Path, default=default.thresholds, help="(loadtests/thresholds.toml)")
    parser.add_argument("--reports", type=Path, default=default.reports, help="folder (loadtests/reports)")
    parser.add_argument("--files", type=Path, default=default.files, help="folder of photos (loadtests/.photos)")
    parser.add_argument("--wallpapers", type=Path, default=default.wallpapers, help=argparse.SUPPRESS)
    return parser


def _options() -> Options:
    parser = _parser()
    given = vars(parser.parse_args())
    fault, after, seconds = (given.pop(name) for name in ("fault", "fault_after", "fault_seconds"))
    if fault and given["target"]:
        parser.error("--fault breaks a part of the stack that is started for the run: leave out --target")
    if given["shape"] == "spike" and (given["seconds"] or plans.LEAST_SPIKE_SECONDS) < plans.LEAST_SPIKE_SECONDS:
        parser.error(f"--seconds of a spike, before and after it, are {plans.LEAST_SPIKE_SECONDS} at the least")
    if given["shape"] is None:
        given["shape"] = "" if given["web"] else "steady"
    if fault and given["shape"] in plans.SECONDS:
        length = sum(stage.seconds for stage in plans.plan(given["shape"], 1, given["seconds"], given["warm_up"]))
        if after + seconds > length:
            parser.error(
                f"--fault-after {after} and --fault-seconds {seconds} end after the run, which lasts {length} s"
            )
    asked = shlex.join(["python", "-m", "loadtests", *sys.argv[1:]])
    return Options(**given, asked=asked, fault=Fault(fault, after, seconds) if fault else None)


def _positive(text: str) -> int:
    return _at_least(1, text)


def _seconds(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
