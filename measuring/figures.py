"""A measured value and its target, and the command line of a group of checks."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from measuring.photos import NoPhotos
from measuring.servers import CannotStart


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value and its target."""

    name: str
    value: str
    spread: str = ""
    """The range of the rounds, or another detail."""
    target: str = ""
    passed: bool | None = None
    """None without a target."""

    @property
    def verdict(self) -> str:
        """One word."""
        return {True: "pass", False: "FAIL", None: ""}[self.passed]

    @property
    def row(self) -> tuple[str, ...]:
        """The cells of a table."""
        return (self.name, self.value, self.spread, self.target, self.verdict)


def at_most(name: str, value: float, limit: float, unit: str = "", spread: str = "") -> Figure:
    """A value that must not exceed a limit."""
    return Figure(name, f"{value:.4g}{unit}", spread, f"≤ {limit:.4g}{unit}", value <= limit)


def at_least(name: str, value: float, limit: float, unit: str = "", spread: str = "") -> Figure:
    """A value that must reach a limit."""
    return Figure(name, f"{value:.4g}{unit}", spread, f"≥ {limit:.4g}{unit}", value >= limit)


def extremes(values: Sequence[float]) -> str:
    """The range of some rounds."""
    return f"{min(values):.2f} to {max(values):.2f}"


def as_text(figures: Sequence[Figure]) -> str:
    """A table for a terminal."""
    rows = [("figure", "value", "spread", "target", ""), *(figure.row for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines).replace("`", "")


def failed(figures: Sequence[Figure]) -> bool:
    """Whether a target was missed."""
    return any(figure.passed is False for figure in figures)


def run_check(program: str, description: str, checks: Mapping[str, ModuleType]) -> int:
    """Run the check that the command line names, and print its figures.

    Each check is a module with `options(parser)` and `async measure(options) -> list[Figure]`. The exit code is 1
    when a target is missed and 2 when nothing could be measured.
    """
    parser = argparse.ArgumentParser(f"python -m {program}", description=description)
    names = parser.add_subparsers(dest="name", metavar="NAME", required=True)
    for name, check in checks.items():
        summary = (check.__doc__ or "").strip()
        check.options(names.add_parser(name, help=summary, description=summary))
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are stopped
    try:
        figures = asyncio.run(checks[chosen.name].measure(chosen))
    except (CannotStart, NoPhotos) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    print(f"\n{as_text(figures)}")
    return int(failed(figures))
