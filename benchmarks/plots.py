"""Plots of results.json. Runs in the environment of requirements/report.txt.

Usage: python -m benchmarks.plots RESULTS.json FOLDER
"""

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.results import BARE, CLIENTS, IPX, OURS, SYSTEMS, THUMB, THUMBOR, Cell, Results, load

_COLOURS = {OURS: "#0b6e99", BARE: "#8a8a8a", THUMBOR: "#d9822b", IPX: "#7a4fa3"}
_BAR = 0.2


def draw(results: Results, folder: Path) -> None:
    """All plots that the results have figures for."""
    folder.mkdir(parents=True, exist_ok=True)
    mpl.rcParams.update(
        {"svg.hashsalt": "imgsvc", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )
    plots = {"goodput": _goodput, "clients": _clients, "latency": _latency, "fidelity": _fidelity}
    for name, plot in plots.items():
        figure = plot(results)
        if figure:
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
            plt.close(figure)


def _goodputs(cells: Sequence[Cell]) -> list[float]:
    return [cell.goodput for cell in cells]


def _panels(results: Results, title: str) -> tuple[Figure, list[Axes]]:
    formats = results.formats()
    figure, axes = plt.subplots(1, len(formats), figsize=(2.9 * len(formats), 3.2), squeeze=False)
    figure.suptitle(title)
    for axis, fmt in zip(axes[0], formats, strict=True):
        axis.set_title(fmt.upper())
    figure.tight_layout()
    return figure, list(axes[0])


def _legend(figure: Figure, axis: Axes) -> None:
    figure.tight_layout()  # once more, now that the axes have labels
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0), ncol=len(labels), frameon=False)


def _goodput(results: Results) -> Figure | None:
    if not any(cell.chain == THUMB for cell in results.cells):
        return None
    figure, axes = _panels(results, f"Goodput, {THUMB}, {CLIENTS} clients, nothing cached (median; bars: least, most)")
    for axis, fmt in zip(axes, results.formats(), strict=True):
        for place, system in enumerate(SYSTEMS):
            values = _goodputs(results.select(system, fmt))
            if values:
                middle = statistics.median(values)
                axis.bar(place, middle, color=_COLOURS[system], label=system)
                axis.errorbar(place, middle, [[middle - min(values)], [max(values) - middle]], color="black", capsize=3)
                axis.annotate(
                    f"{middle:.0f}", (place, 0), (0, 4), textcoords="offset points", ha="center", color="white"
                )
        axis.set_xticks(range(len(SYSTEMS)), SYSTEMS, rotation=30)
    axes[0].set_ylabel("right answers a second")
    return figure


def _clients(results: Results) -> Figure | None:
    counts = sorted({cell.clients for cell in results.cells if cell.clients and cell.chain == THUMB})
    if len(counts) < 2:  # noqa: PLR2004  # a line needs two points
        return None
    figure, axes = _panels(results, f"Goodput by clients, {THUMB}, nothing cached (median; band: least to most)")
    for axis, fmt in zip(axes, results.formats(), strict=True):
        for system in SYSTEMS:
            _line(axis, system, counts, [_goodputs(results.select(system, fmt, clients=count)) for count in counts])
        axis.set_xscale("log", base=2)
        axis.set_xticks(counts, [str(count) for count in counts])
        axis.set_ylim(bottom=0)
        axis.set_xlabel("clients")
    axes[0].set_ylabel("right answers a second")
    _legend(figure, axes[0])
    return figure


def _line(axis: Axes, system: str, counts: Sequence[int], values: Sequence[list[float]]) -> None:
    if not all(values):
        return
    middles = [statistics.median(rounds) for rounds in values]
    style = "--" if system == BARE else "-o"
    axis.plot(counts, middles, style, color=_COLOURS[system], label=system, markersize=4)
    low, high = [min(rounds) for rounds in values], [max(rounds) for rounds in values]
    axis.fill_between(counts, low, high, color=_COLOURS[system], alpha=0.15, linewidth=0)


def _latency(results: Results) -> Figure | None:
    served = [system for system in SYSTEMS if system != BARE]
    if not any(cell.chain == THUMB and cell.clients == CLIENTS for cell in results.cells):
        return None
    figure, axes = _panels(results, f"Latency, {THUMB}, {CLIENTS} clients (median of the rounds)")
    for axis, fmt in zip(axes, results.formats(), strict=True):
        for place, system in enumerate(served):
            cells = results.select(system, fmt)
            if cells:
                heights = [statistics.median(cell.latency_ms[n] for cell in cells) for n in range(3)]
                axis.bar(
                    [n + (place - 1) * _BAR for n in range(3)], heights, _BAR, color=_COLOURS[system], label=system
                )
        axis.set_xticks(range(3), ["p50", "p95", "p99"])
    axes[0].set_ylabel("milliseconds")
    _legend(figure, axes[0])
    return figure


def _fidelity(results: Results) -> Figure | None:
    if not results.scores:
        return None
    figure, axes = _panels(results, "Fidelity and speed: up and to the right is better (whisker: worst photo)")
    for axis, fmt in zip(axes, results.formats(), strict=True):
        for system in SYSTEMS:
            speeds = _goodputs(results.select(system, fmt))
            scores = [score.ssimulacra2 for score in results.scores_of(system, fmt).values()]
            if speeds and scores:
                middle, mean = statistics.median(speeds), statistics.fmean(scores)
                axis.errorbar(middle, mean, [[mean - min(scores)], [0.0]], color=_COLOURS[system], alpha=0.4, capsize=2)
                axis.plot(middle, mean, "o", color=_COLOURS[system], label=system)
        axis.set_xlim(0, axis.get_xlim()[1] * 1.05)
        axis.set_xlabel("right answers a second")
    axes[0].set_ylabel("SSIMULACRA2")
    _legend(figure, axes[0])
    return figure


if __name__ == "__main__":
    mpl.use("svg")
    draw(load(Path(sys.argv[1])), Path(sys.argv[2]))
