"""The command line: `python -m benchmarks`."""

import argparse
import signal
import sys
from pathlib import Path

from benchmarks import report, run
from benchmarks.figures import figures
from benchmarks.peers import HERE, CannotInstall
from benchmarks.photos import FORMATS
from benchmarks.results import SYSTEMS, Results
from benchmarks.systems.base import SystemFailed
from measuring.figures import as_text, failed
from measuring.photos import NoPhotos
from measuring.servers import CannotStart

_DESCRIPTION = """\
Compare the speed, fidelity and memory of imgsvc, libvips itself, thumbor and ipx on this machine.
A full run takes about 25 minutes on 2 cores and rewrites results.md, results.json and plots/ in this folder.
Keep the machine idle meanwhile.
The exit code is 1 when a target is missed and 2 when nothing could be measured."""


def main() -> int:
    """Measure, print and write."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped
    try:
        if options.redraw:
            report.write(Results.model_validate_json((options.out / "results.json").read_text()), options.out)
            return 0
        scope = run.QUICK if options.quick else run.FULL
        results = run.run(
            run.changed(
                scope,
                options.rounds,
                sections=options.only,
                formats=options.formats,
                systems=options.systems,
                before=options.before,
            )
        )
        if options.out:
            report.write(results, options.out)
    except (CannotInstall, CannotStart, NoPhotos, SystemFailed) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    found = figures(results)
    print(f"\n{report.fidelity_as_text(results)}\n\n{as_text(found)}")
    return int(failed(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test of 3 minutes with few photos; writes nothing"
    )
    parser.add_argument("--only", action="append", choices=run.SECTIONS, help="measure only this part; repeatable")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, help="measure only these formats")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, help="measure only these systems")
    parser.add_argument("--rounds", type=int, help="how many times each judged figure is measured")
    parser.add_argument("--out", type=Path, help="folder for results.md, results.json and plots/")
    parser.add_argument(
        "--before", type=Path, metavar="FOLDER", help="compare with the imgsvc in this checkout as well"
    )
    parser.add_argument("--redraw", action="store_true", help="only rewrite results.md and plots/ from results.json")
    options = parser.parse_args()
    if options.before and not (options.before / "imgsvc").is_dir():
        parser.error(f"{options.before} is not a checkout of imgsvc")
    partial = options.quick or options.only or options.formats or options.systems or options.before
    if options.out is None and (options.redraw or not partial):
        options.out = HERE
    if options.redraw and not (options.out / "results.json").exists():
        parser.error(f"{options.out} has no results.json")
    return options


if __name__ == "__main__":
    sys.exit(main())
