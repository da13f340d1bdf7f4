"""The command line: `python -m benchmarks`."""

import argparse
import signal
import sys
from pathlib import Path

from benchmarks import figures, publish, run
from benchmarks.peers import CannotInstall
from benchmarks.photos import FORMATS, NoPhotos
from benchmarks.results import SYSTEMS, load
from benchmarks.systems.base import SystemFailed

_HERE = Path(__file__).parent
_DESCRIPTION = """\
Measures imgsvc beside libvips itself, thumbor and ipx, on this machine: speed, fidelity, memory.
The whole takes about 25 minutes on 2 cores, and rewrites results.md, results.json and plots/ beside this program.
Keep the machine idle meanwhile."""


def main() -> int:
    """Measure, tell, write. The exit code is 1 when a figure misses its target, 2 when nothing could be measured."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped
    try:
        if options.redraw and not (options.out / "results.json").exists():
            print(f"benchmarks: there is no results.json in {options.out} to draw from", file=sys.stderr)
            return 2
        if options.redraw:
            publish.publish(load(options.out / "results.json"), options.out)
            return 0
        results = run.run(_scope(options))
        if options.out:
            publish.publish(results, options.out)
    except (CannotInstall, NoPhotos, SystemFailed) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    found = figures.figures(results)
    print(f"\n{figures.fidelity_as_text(results)}\n\n{figures.as_text(found)}")
    return int(any(figure.passed is False for figure in found))


def _scope(options: argparse.Namespace) -> run.Scope:
    scope = run.QUICK if options.quick else run.FULL
    changes = {"sections": options.only, "formats": options.formats, "systems": options.systems}
    return scope.changed(options.rounds, **{name: tuple(value) for name, value in changes.items() if value})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run of 3 minutes: few photos, one round; writes nothing"
    )
    parser.add_argument(
        "--only", action="append", choices=run.SECTIONS, help="measure this part alone; may be repeated"
    )
    parser.add_argument("--formats", nargs="+", choices=FORMATS, help="these formats alone")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, help="these systems alone")
    parser.add_argument("--rounds", type=int, help="how often each figure that is judged is measured")
    parser.add_argument("--out", type=Path, help="folder for results.md, results.json and plots/")
    parser.add_argument(
        "--redraw", action="store_true", help="measure nothing; write results.md and plots from results.json"
    )
    options = parser.parse_args()
    partial = options.quick or options.only or options.formats or options.systems
    if options.out is None and (options.redraw or not partial):
        options.out = _HERE
    return options


if __name__ == "__main__":
    sys.exit(main())
