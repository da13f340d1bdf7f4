"""Plots of the results."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt  # after choosing what draws
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.results import BARE, CLIENTS, IPX, OURS, SYSTEMS, THUMB, THUMBOR, Results

COLOURS = {OURS: "#0b6e99", BARE: "#8a8a8a", THUMBOR: "#d9822b", IPX: "#7a4fa3"}
_BAR = 0.2
_SPREAD: tuple[Callable[[list[float]], float], ...] = (statistics.median, min, max)


def draw(results: Results, folder: Path) -> None:
    """All plots that the results have figures for."""
    folder.mkdir(parents=True, exist_ok=True)
    set_style()
    thumbs = {cell.clients for cell in results.cells if cell.chain == THUMB}
    counts = sorted(thumbs - {0})
    if thumbs:
        title = f"Goodput, {THUMB}, {CLIENTS} clients, nothing cached (median; bars: range)"
        _panels(results, folder / "goodput.svg", title, "right answers per second", _goodput)
    if len(counts) > 1:
        title = f"Goodput by clients, {THUMB}, nothing cached (median; band: range)"
        _panels(results, folder / "clients.svg", title, "right answers per second", _by_clients(counts), legend=True)
    if CLIENTS in thumbs:
        title = f"Latency, {THUMB}, {CLIENTS} clients (median of the rounds)"
        _panels(results, folder / "latency.svg", title, "milliseconds", _latency, legend=True)
    if results.scores and thumbs:
        title = "Fidelity and speed: up and to the right is better (whisker: worst photo)"
        _panels(results, folder / "fidelity.svg", title, "SSIMULACRA2", _fidelity, legend=True)


def set_style() -> None:
    """The look of all plots. The same figures always give the same file."""
    mpl.rcParams.update(
        {"svg.hashsalt": "imgsvc", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )


def _panels(
    results: Results,
    path: Path,
    title: str,
    label: str,
    plot: Callable[[Results, str, Axes], None],
    *,
    legend: bool = False,
) -> None:
    """One panel per format."""
    formats = results.formats()
    figure, axes = plt.subplots(1, len(formats), figsize=(2.9 * len(formats), 3.2), squeeze=False)
    figure.suptitle(title)
    for axis, fmt in zip(axes[0], formats, strict=True):
        axis.set_title(fmt.upper())
        plot(results, fmt, axis)
    axes[0][0].set_ylabel(label)
    save(figure, path, axes[0][0] if legend else None)


def save(figure: Figure, path: Path, legend_of: Axes | None) -> None:
    """Write a plot, with the legend of one of its panels below."""
    figure.tight_layout()
    if legend_of:
        handles, labels = legend_of.get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0), ncol=len(labels), frameon=False)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def _goodput(results: Results, fmt: str, axis: Axes) -> None:
    for place, system in enumerate(SYSTEMS):
        if values := results.goodputs(system, fmt):
            middle = statistics.median(values)
            axis.bar(place, middle, color=COLOURS[system], label=system)
            axis.errorbar(place, middle, [[middle - min(values)], [max(values) - middle]], color="black", capsize=3)
            axis.annotate(f"{middle:.0f}", (place, 0), (0, 4), textcoords="offset points", ha="center", color="white")
    axis.set_xticks(range(len(SYSTEMS)), SYSTEMS, rotation=30)


def _by_clients(counts: Sequence[int]) -> Callable[[Results, str, Axes], None]:
    def plot(results: Results, fmt: str, axis: Axes) -> None:
        for system in SYSTEMS:
            values = [results.goodputs(system, fmt, count) for count in counts]
            if all(values):
                style, colour = "--" if system == BARE else "-o", COLOURS[system]
                middles, low, high = ([of(rounds) for rounds in values] for of in _SPREAD)
                axis.plot(counts, middles, style, color=colour, label=system, markersize=4)
                axis.fill_between(counts, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.set_xscale("log", base=2)
        axis.set_xticks(counts, [*map(str, counts)])
        axis.set_ylim(bottom=0)
        axis.set_xlabel("clients")

    return plot


def _latency(results: Results, fmt: str, axis: Axes) -> None:
    for place, system in enumerate(system for system in SYSTEMS if system != BARE):
        if cells := results.select(system, fmt):
            heights = [statistics.median(cell.latency_ms[n] for cell in cells) for n in range(3)]
            places = [n + (place - 1) * _BAR for n in range(3)]
            axis.bar(places, heights, _BAR, color=COLOURS[system], label=system)
    axis.set_xticks(range(3), ["p50", "p95", "p99"])


def _fidelity(results: Results, fmt: str, axis: Axes) -> None:
    for system in SYSTEMS:
        speeds = results.goodputs(system, fmt)
        scores = [score.ssimulacra2 for score in results.scores_of(system, fmt).values()]
        if speeds and scores:
            middle, mean, colour = statistics.median(speeds), statistics.fmean(scores), COLOURS[system]
            axis.errorbar(middle, mean, [[mean - min(scores)], [0.0]], color=colour, alpha=0.4, capsize=2)
            axis.plot(middle, mean, "o", color=colour, label=system)
    axis.set_xlim(0, axis.get_xlim()[1] * 1.05)
    axis.set_xlabel("right answers per second")
