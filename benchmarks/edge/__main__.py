"""The command line: `python -m benchmarks.edge NAME`."""

import argparse
import sys

from benchmarks.edge import hits, purges, zipf
from benchmarks.figures import as_text

CHECKS = {"hits": hits, "zipf": zipf, "purges": purges}


def main() -> int:
    """Run one check, and tell."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.edge",
        description="Measures the HTTP cache. Needs Debian's varnish, varnish-modules and wrk; keep the machine idle.",
    )
    names = parser.add_subparsers(dest="name", metavar="NAME", required=True)
    for name, check in CHECKS.items():
        summary = (check.__doc__ or "").strip()
        check.options(names.add_parser(name, help=summary, description=summary))
    chosen = parser.parse_args()
    found = CHECKS[chosen.name].measure(chosen)
    print(f"\n{as_text(found)}")
    return int(any(figure.passed is False for figure in found))


if __name__ == "__main__":
    sys.exit(main())
