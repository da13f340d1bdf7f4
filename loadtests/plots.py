"""Plots of a run, as PNG files beside the report."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt  # what draws is chosen first
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.containers import MACHINE, Usage
from loadtests.findings import Findings
from loadtests.ledger import PROBED, Ledger

_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#0b6e99", "#d9822b", "#3a8a4d", "#b3261e", "#8a8a8a"
_WINDOW = 5
"""Seconds that a point of a line sums up."""
KNEE, TRAFFIC, PARTS = "knee.png", "traffic.png", "parts.png"


def draw(ledger: Ledger, usage: Usage, findings: Findings, folder: Path) -> list[str]:
    """Draw what there is to see; the names of the files."""
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110})
    figures: dict[str, Figure] = {}
    if findings.readings:
        figures[KNEE] = _knee(findings)
    figures[TRAFFIC] = _traffic(ledger, findings)
    if usage.samples:
        figures[PARTS] = _parts(usage, ledger, findings)
    for name, figure in figures.items():
        figure.savefig(folder / name, bbox_inches="tight")
        plt.close(figure)
    return list(figures)


def _knee(findings: Findings) -> Figure:
    readings = findings.readings
    users = [reading.users for reading in readings]
    figure, (above, below) = plt.subplots(2, 1, figsize=(7.5, 5), sharex=True)
    above.plot(users, [reading.all.goodput for reading in readings], "-o", color=_BLUE)
    above.set_ylabel("right answers a second")
    below.plot(users, [reading.viewers.p95_ms for reading in readings], "-o", color=_ORANGE)
    below.axhline(findings.settings.p95_limit_ms, color=_RED, linestyle=":", label="limit")
    below.set_ylabel("p95 of viewers, ms")
    below.set_xlabel("users")
    below.set_xscale("log", base=2)
    below.set_xticks(users, [str(number) for number in users])
    below.minorticks_off()
    for axis in (above, below):
        axis.set_ylim(bottom=0)
        if findings.knee:
            axis.axvline(findings.knee.users, color=_GREEN, linestyle="--", label=f"knee: {findings.knee.users} users")
        axis.legend(frameon=False, loc="center left")
    above.set_title("More users get more answers, until the knee")
    return figure


def _traffic(ledger: Ledger, findings: Findings) -> Figure:
    start, end = ledger.span
    seconds = range(start, max(start + 1, end - _WINDOW + 1))
    every = [ledger.summary("all", second, second + _WINDOW) for second in seconds]
    viewers, cached, missed, hits = (
        [ledger.summary(group, second, second + _WINDOW) for second in seconds]
        for group in ("viewers", "viewers.cached", "viewers.missed", PROBED)
    )
    figure, axes = plt.subplots(4, 1, figsize=(9, 9), sharex=True)
    x = [second - start + _WINDOW / 2 for second in seconds]
    axes[0].plot(sorted(s - start for s in ledger.users if start <= s < end), _users(ledger), color=_GREY)
    axes[0].set_ylabel("users")
    axes[0].set_ylim(bottom=0)
    axes[1].plot(x, [s.goodput for s in every], color=_BLUE, label="right answers")
    axes[1].plot(x, [s.requests * s.refused_share / _WINDOW for s in every], color=_ORANGE, label="refused")
    axes[1].plot(x, [s.requests * s.error_share / _WINDOW for s in every], color=_RED, label="errors")
    axes[1].set_ylabel("a second")
    axes[2].plot(x, _values([s.p99_ms for s in hits]), color=_GREEN, label="hits, p99 (probe)")
    axes[2].plot(x, _values([s.p99_ms for s in cached]), color=_GREY, label="cached, p99 (locust)")
    axes[2].plot(x, _values([s.p95_ms for s in viewers]), color=_BLUE, label="all viewers, p95")
    axes[2].plot(x, _values([s.p95_ms for s in missed]), color=_ORANGE, label="rendered, p95")
    axes[2].set_yscale("log")
    axes[2].set_ylabel("latency, ms")
    axes[3].plot(x, _values([s.hit_ratio for s in viewers]), color=_GREEN, label="of viewers' answers")
    axes[3].set_ylabel("hit ratio")
    axes[3].set_ylim(0, 1.02)
    axes[3].set_xlabel("seconds (means and percentiles of five)")
    _finish(axes, findings, start)
    axes[0].set_title("Traffic over time")
    return figure


def _users(ledger: Ledger) -> list[int]:
    start, end = ledger.span
    return [users for second, users in sorted(ledger.users.items()) if start <= second < end]


def _parts(usage: Usage, ledger: Ledger, findings: Findings) -> Figure:
    start, end = ledger.span
    figure, axes = plt.subplots(2, 1, figsize=(9, 6), sharex=True)
    for number, part in enumerate(usage.parts()):
        samples = usage.of(part, start, end)
        x, colour = [sample.second - start for sample in samples], f"C{number}"
        axes[0].plot(x, [sample.cpu for sample in samples], label=part, color=colour)
        if part != MACHINE:
            axes[1].plot(x, [sample.bytes / 2**20 for sample in samples], label=part, color=colour)
    axes[0].set_ylabel("CPU, cores")
    axes[1].set_ylabel("memory, MiB")
    axes[1].set_ylim(bottom=0)
    axes[1].set_xlabel("seconds")
    _finish(axes, findings, start)
    axes[0].set_title("What each part used")
    return figure


def _finish(axes: Sequence[Axes], findings: Findings, start: int) -> None:
    """Grey: what is judged."""
    for axis in axes:
        axis.axvspan(findings.judged[0] - start, findings.judged[1] - start, color=_GREY, alpha=0.12, linewidth=0)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _values(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
