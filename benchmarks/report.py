"""results.md: what was measured, for people."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.figures import figures
from benchmarks.results import BARE, CLIENTS, SYSTEMS, THUMB, Cell, Results

_MIB = 1024**2
PLOTS = {
    "goodput.svg": f"Goodput at {CLIENTS} clients, by format",
    "clients.svg": "Goodput by the number of clients",
    "latency.svg": f"Latency at {CLIENTS} clients",
    "fidelity.svg": "Speed and fidelity together",
}


def write(results: Results, folder: Path) -> None:
    """Write results.md into the folder, where the plots are."""
    (folder / "results.md").write_text("\n".join(_lines(results, folder)) + "\n")


def _lines(results: Results, folder: Path) -> Iterator[str]:
    yield "<!-- Written by `make bench`. Do not edit. -->\n"
    yield "# Results\n"
    yield "How it is measured and how to read it: [README.md](README.md). Raw figures: [results.json](results.json).\n"
    yield from _conditions(results)
    yield "\n## What must hold\n"
    yield "Ratios are medians of the rounds' ratios; the spread is from the least to the most of the rounds.\n"
    rows = ((f.name, f.value, f.spread, f.target, f.verdict) for f in figures(results))
    yield from _table(("figure", "value", "spread", "target", "verdict"), rows)
    for name, title in PLOTS.items():
        if (folder / "plots" / name).exists():
            yield f"\n![{title}](plots/{name})"
    yield from _speed(results)
    yield from _fidelity(results)


def _conditions(results: Results) -> Iterator[str]:
    machine = results.machine
    yield f"- {results.date}, {results.minutes:.0f} minutes; {machine.cores} cores of {machine.processor},"
    yield f"  {machine.memory_gib} GiB; {machine.system}; Python {machine.python}, Node.js {machine.node or 'none'}"
    yield from (f"- {name}: {version}" for name, version in results.versions.items())
    yield from (f"- {name}: {value}" for name, value in results.settings.items())
    yield ""
    rows = (
        (p.format.upper(), p.photos, p.files, f"{p.median_megapixels:.1f}", f"{p.most_megapixels:.1f}", f"{p.mib:.1f}")
        for p in results.photos
    )
    yield from _table(("input", "photos", "files", "MP, median", "MP, most", "MiB, mean"), rows)


def _speed(results: Results) -> Iterator[str]:
    yield "\n## Thumbnails, cold\n"
    yield f"`{THUMB}`, output in the input's format. Medians of the rounds; in brackets the least and the most."
    yield f"{BARE} is the bare loop: no HTTP, always as many photos under way as there are cores."
    for fmt in results.formats():
        rows = list(_speed_rows(results, fmt))
        if rows:
            yield f"\n### {fmt.upper()}\n"
            head = ("system", "clients", "goodput, 1/s", "p50, ms", "p95, ms", "p99, ms")
            yield from _table((*head, "CPU, ms a request", "peak RSS, MiB", "not 200, or wrong"), rows)


def _speed_rows(results: Results, fmt: str) -> Iterator[Sequence[object]]:
    counts = sorted({cell.clients for cell in results.cells if cell.format == fmt and cell.chain == THUMB})
    for system in SYSTEMS:
        for clients in counts:
            cells = [cell for cell in results.select(system, fmt, clients=clients) if cell.clients == clients]
            if cells:
                yield (system, clients or "cores", *_row(cells))


def _row(cells: Sequence[Cell]) -> Iterator[str]:
    goodputs = [cell.goodput for cell in cells]
    yield f"**{statistics.median(goodputs):.1f}** ({min(goodputs):.1f} to {max(goodputs):.1f})"
    for n in range(3):
        yield f"{statistics.median(cell.latency_ms[n] for cell in cells):.1f}"
    yield f"{statistics.median(cell.cpu_ms for cell in cells):.1f}"
    yield f"{max(cell.peak_rss for cell in cells) / _MIB:.0f}"
    yield str(sum(sum(cell.failures.values()) for cell in cells))


def _fidelity(results: Results) -> Iterator[str]:
    if not results.scores:
        return
    yield "\n## Fidelity\n"
    yield "SSIMULACRA2 of the served thumbnail against a full decode that Pillow downscaled with Lanczos 3 in floating"
    yield "point. 100 is the same; above 90 nobody sees a difference, 70 is high quality, 50 medium.\n"
    rows = []
    for fmt in results.formats():
        for system in SYSTEMS:
            scores = list(results.scores_of(system, fmt).values())
            if scores:
                values = [score.ssimulacra2 for score in scores]
                size = statistics.fmean(score.bytes for score in scores) / 1000
                rows.append(
                    (fmt.upper(), system, f"{statistics.fmean(values):.1f}", f"{min(values):.1f}", f"{size:.1f}")
                )
    yield from _table(("format", "system", "mean", "worst photo", "kB, mean"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
