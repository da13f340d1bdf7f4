"""Goodput of thumbnails with levels, compared with imgsvc without them, thumbor and ipx; the cost of first renders."""

import argparse
import statistics
from collections.abc import Iterator, Sequence

from benchmarks.levels.first import first_renders
from benchmarks.levels.goodput import Cell, prepared, rounds
from benchmarks.levels.systems import WITHOUT, Levelled, peer_option, running
from benchmarks.levels.work import Work, first_kinds, works
from benchmarks.results import CLIENTS, IPX, OURS, THUMBOR
from measuring.figures import Figure, at_least, at_most, extremes


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each with all systems (default: 5)")
    parser.add_argument("--seconds", type=float, default=4, help="seconds per measurement, about (default: 4)")
    parser.add_argument("--files", type=int, default=24, help="files per photo set, at least (default: 24)")
    parser.add_argument("--first", type=int, default=12, help="first renders of each kind (default: 12; 0: none)")
    parser.add_argument("--only", default="", help="leave out photo sets without this text in their names")
    peer_option(parser)


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """The ratios of goodputs, and of the latencies of first renders."""
    print("making photos, once", flush=True)
    chosen_works = [work for work in works(chosen.files) if chosen.only in work.title]
    levelled = Levelled()
    with running(levelled, peers=not chosen.without_peers) as systems:
        kinds = [kind for kind in first_kinds() if chosen.first and chosen.only in kind.name]
        firsts = [await first_renders(levelled, systems[1], kind, chosen.first) for kind in kinds]
        print("making levels, checking every answer once", flush=True)
        tasks = [prepared(systems, work, chosen.seconds) for work in chosen_works]
        cells = [*_printed(rounds(tasks, chosen.rounds))]
    return [*_figures(chosen_works, cells), *firsts]


def _printed(cells: Iterator[Cell]) -> Iterator[Cell]:
    for cell in cells:
        print(cell, flush=True)
        yield cell


def _figures(chosen: Sequence[Work], cells: Sequence[Cell]) -> Iterator[Figure]:
    for work in chosen:
        found = {
            name: [cell.goodput for cell in cells if (cell.system, cell.work) == (name, work.title)]
            for name in (OURS, WITHOUT, THUMBOR, IPX)
        }
        present = {name: values for name, values in found.items() if values}
        medians = ", ".join(f"{name} {statistics.median(values):.1f}" for name, values in present.items())
        yield Figure(f"{work.title}, {CLIENTS} clients: goodput per second", medians)
        for name in [name for name in present if name != OURS]:
            yield _ratio(work, name, found[OURS], found[name])
    yield at_most("wrong answers", sum(cell.wrong for cell in cells), 0)


def _ratio(work: Work, other: str, ours: Sequence[float], others: Sequence[float]) -> Figure:
    """The median of the rounds' ratios, which compare what was measured moments apart."""
    ratios = [a / b for a, b in zip(ours, others, strict=True) if b]
    name, middle = f"{work.title}: with levels / {other}", statistics.median(ratios)
    if other == WITHOUT:
        return Figure(name, f"{middle:.4g}", extremes(ratios))
    return at_least(name, middle, work.least, "", extremes(ratios))
