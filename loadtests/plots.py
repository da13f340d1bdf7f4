"""The plots of a report, as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt  # after choosing what draws
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.containers import MACHINE, Usage
from loadtests.findings import Findings
from loadtests.ledger import PROBED, Ledger, Summary

_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#0b6e99", "#d9822b", "#3a8a4d", "#b3261e", "#8a8a8a"
_WINDOW = 5
"""Seconds per point of a line."""
KNEE, TRAFFIC, PARTS = "knee.png", "traffic.png", "parts.png"


def draw(ledger: Ledger, usage: Usage, findings: Findings, folder: Path) -> list[str]:
    """Draw the plots that the run has figures for; returns the names of the files."""
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110})
    figures: dict[str, Figure] = {TRAFFIC: _traffic(ledger, findings)}
    if findings.readings:
        figures[KNEE] = _knee(findings)
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
    below.plot(users, [reading.viewers.p95_ms for reading in readings], "-o", color=_ORANGE)
    below.axhline(findings.settings.p95_limit_ms, color=_RED, linestyle=":", label="limit")
    below.set_xlabel("users")
    below.set_xscale("log", base=2)
    below.set_xticks(users, [str(number) for number in users])
    below.minorticks_off()
    for axis, label in ((above, "right answers per second"), (below, "p95 of viewers, ms")):
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        if findings.knee:
            axis.axvline(findings.knee.users, color=_GREEN, linestyle="--", label=f"knee: {findings.knee.users} users")
        axis.legend(frameon=False, loc="center left")
    above.set_title("More users get more answers, up to the knee")
    return figure


def _traffic(ledger: Ledger, findings: Findings) -> Figure:
    start, end = ledger.span
    seconds = range(start, max(start + 1, end - _WINDOW + 1))
    x = [second - start + _WINDOW / 2 for second in seconds]

    def over_time(group: str) -> list[Summary]:
        return [ledger.summary(group, second, second + _WINDOW) for second in seconds]

    every, viewers = over_time("all"), over_time("viewers")
    figure, axes = plt.subplots(4, 1, figsize=(9, 9), sharex=True)
    users = {second - start: users for second, users in sorted(ledger.users.items()) if start <= second < end}
    axes[0].plot([*users], [*users.values()], color=_GREY)
    axes[1].plot(x, [s.goodput for s in every], color=_BLUE, label="right answers")
    axes[1].plot(x, [s.requests * s.refused_share / _WINDOW for s in every], color=_ORANGE, label="refused")
    axes[1].plot(x, [s.requests * s.error_share / _WINDOW for s in every], color=_RED, label="errors")
    latencies = (
        ("hits, p99 (probe)", _GREEN, [s.p99_ms for s in over_time(PROBED)]),
        ("cached, p99 (locust)", _GREY, [s.p99_ms for s in over_time("viewers.cached")]),
        ("all viewers, p95", _BLUE, [s.p95_ms for s in viewers]),
        ("rendered, p95", _ORANGE, [s.p95_ms for s in over_time("viewers.missed")]),
    )
    for label, colour, values in latencies:
        axes[2].plot(x, _values(values), color=colour, label=label)
    axes[2].set_yscale("log")
    axes[3].plot(x, _values([s.hit_ratio for s in viewers]), color=_GREEN, label="of viewers' answers")
    axes[3].set_ylim(0, 1.02)
    axes[3].set_xlabel("seconds (means and percentiles of five)")
    for axis, label in zip(axes, ("users", "per second", "latency, ms", "hit ratio"), strict=True):
        axis.set_ylabel(label)
    axes[0].set_ylim(bottom=0)
    return _finished(figure, axes, "Traffic over time", findings, start)


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
    return _finished(figure, axes, "What each part used", findings, start)


def _finished(figure: Figure, axes: Sequence[Axes], title: str, findings: Findings, start: int) -> Figure:
    """With a title, legends, and the judged span in grey."""
    axes[0].set_title(title)
    for axis in axes:
        axis.axvspan(findings.judged[0] - start, findings.judged[1] - start, color=_GREY, alpha=0.12, linewidth=0)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _values(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
