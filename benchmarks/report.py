"""Writes results.json, the plots and results.md."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks import plots
from benchmarks.figures import figures
from benchmarks.results import BARE, CLIENTS, SYSTEMS, THUMB, Results

_MIB = 1024**2
_PLOTS = {
    "goodput.svg": f"Goodput with {CLIENTS} clients, by format",
    "clients.svg": "Goodput by the number of clients",
    "latency.svg": f"Latency with {CLIENTS} clients",
    "fidelity.svg": "Speed and fidelity together",
}


def write(results: Results, folder: Path) -> None:
    """Write everything into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(results.model_dump_json(indent=1) + "\n")
    plots.draw(results, folder / "plots")
    (folder / "results.md").write_text("\n".join(_lines(results, folder)) + "\n")


def fidelity_as_text(results: Results) -> str:
    """The mean scores, one line per format."""
    means = {(row[0], row[1]): row[2] for row in _fidelity(results)}
    lines = {
        fmt: ", ".join(f"{system} {mean}" for (of, system), mean in means.items() if of == fmt) for fmt, _ in means
    }
    return "\n".join(f"fidelity of {fmt}, mean SSIMULACRA2: {line}" for fmt, line in lines.items())


def _lines(results: Results, folder: Path) -> Iterator[str]:
    yield "<!-- Written by `make bench`. Do not edit. -->\n"
    yield "# Results\n"
    yield "[README.md](README.md) says how these figures are measured and how to read them."
    yield "The raw figures are in [results.json](results.json).\n"
    yield from _conditions(results)
    yield "\n## Targets\n"
    yield "Ratios are medians of the rounds' ratios; the spread is the range of the rounds.\n"
    yield from _table(("figure", "value", "spread", "target", "verdict"), (figure.row for figure in figures(results)))
    for name, title in _PLOTS.items():
        if (folder / "plots" / name).exists():
            yield f"\n![{title}](plots/{name})"
    yield from _speed(results)
    if results.scores:
        yield "\n## Fidelity\n"
        yield "SSIMULACRA2 of the served thumbnail against a full decode that Pillow scaled with Lanczos 3 in floating"
        yield "point. 100 is identical. Above 90 the difference is invisible; 70 is high quality, 50 medium.\n"
        yield from _table(("format", "system", "mean", "worst photo", "kB, mean"), _fidelity(results))


def _conditions(results: Results) -> Iterator[str]:
    machine = results.machine
    yield f"- {results.date}, {results.minutes:.0f} minutes; {machine.cores} cores of {machine.processor},"
    yield f"  {machine.memory_gib} GiB; {machine.system}; Python {machine.python}, Node.js {machine.node or 'none'}"
    yield from (f"- {name}: {value}" for name, value in (results.versions | results.settings).items())
    yield ""
    rows = (
        (p.format.upper(), p.photos, p.files, f"{p.median_megapixels:.1f}", f"{p.most_megapixels:.1f}", f"{p.mib:.1f}")
        for p in results.photos
    )
    yield from _table(("input", "photos", "files", "MP, median", "MP, most", "MiB, mean"), rows)


def _speed(results: Results) -> Iterator[str]:
    yield "\n## Thumbnails, not cached\n"
    yield f"`{THUMB}`, written in the input's format. Medians of the rounds, with their range in brackets."
    yield f"{BARE} is the bare loop: no HTTP, and always as many photos in progress as there are cores."
    head = ("system", "clients", "goodput, 1/s", "p50, ms", "p95, ms", "p99, ms")
    for fmt in results.formats():
        if rows := list(_speed_rows(results, fmt)):
            yield f"\n### {fmt.upper()}\n"
            yield from _table((*head, "CPU, ms per request", "peak RSS, MiB", "not 200, or wrong"), rows)


def _speed_rows(results: Results, fmt: str) -> Iterator[Sequence[object]]:
    counts = sorted({cell.clients for cell in results.cells if cell.format == fmt and cell.chain == THUMB})
    for system in SYSTEMS:
        for clients in counts:
            cells = [cell for cell in results.select(system, fmt, clients=clients) if cell.clients == clients]
            if cells:
                goodputs = [cell.goodput for cell in cells]
                medians = [statistics.median(cell.latency_ms[n] for cell in cells) for n in range(3)]
                medians.append(statistics.median(cell.cpu_ms for cell in cells))
                yield (
                    system,
                    clients or "cores",
                    f"**{statistics.median(goodputs):.1f}** ({min(goodputs):.1f} to {max(goodputs):.1f})",
                    *(f"{median:.1f}" for median in medians),
                    f"{max(cell.peak_rss for cell in cells) / _MIB:.0f}",
                    sum(sum(cell.failures.values()) for cell in cells),
                )


def _fidelity(results: Results) -> Iterator[tuple[str, ...]]:
    for fmt in results.formats():
        for system in SYSTEMS:
            scores = results.scores_of(system, fmt).values()
            if scores:
                values, sizes = [s.ssimulacra2 for s in scores], [s.bytes / 1000 for s in scores]
                numbers = (statistics.fmean(values), min(values), statistics.fmean(sizes))
                yield fmt.upper(), system, *(f"{number:.1f}" for number in numbers)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(map(str, row))} |"
