"""The command line: `python -m benchmarks.endurance NAME`."""

import argparse
import asyncio
import signal
import sys

try:
    from benchmarks.endurance import instruments, kills, large, overload, photos, soak
    from benchmarks.figures import as_text
except ModuleNotFoundError as error:
    sys.exit(f"endurance: {error}; `make lint` installs what tests and benchmarks need")

CHECKS = {"large": large, "overload": overload, "soak": soak, "kills": kills, "instruments": instruments}
_DESCRIPTION = """\
Checks what the service outlasts, each against its targets. The exit code is 1 when one is missed, 2 when nothing could
be checked. Keep the machine idle meanwhile: latencies are judged."""


def main() -> int:
    """Run one check, and tell."""
    chosen = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the service is stopped
    try:
        found = asyncio.run(CHECKS[chosen.name].measure(chosen))
    except photos.NoPhotos as error:
        print(f"endurance: {error}", file=sys.stderr)
        return 2
    print(f"\n{as_text(found)}")
    return int(any(figure.passed is False for figure in found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.endurance", description=_DESCRIPTION)
    names = parser.add_subparsers(dest="name", metavar="NAME", required=True)
    for name, check in CHECKS.items():
        summary = (check.__doc__ or "").strip()
        check.options(names.add_parser(name, help=summary, description=summary))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
