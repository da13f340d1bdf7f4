"""The plot of latency by the size of the original."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from benchmarks.levels.latency import Latency
from benchmarks.levels.systems import WITHOUT
from benchmarks.plots import COLOURS, save, set_style
from benchmarks.results import OURS

_STYLES = {OURS: ("-o", COLOURS[OURS]), WITHOUT: ("--o", COLOURS[OURS])}


def draw(found: Sequence[Latency], title: str, path: Path) -> None:
    """One panel per kind of file, both axes logarithmic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    set_style()
    kinds = [*dict.fromkeys(latency.kind for latency in found)]
    figure, axes = plt.subplots(1, len(kinds), figsize=(2.6 * len(kinds), 3.2), squeeze=False, sharey=True)
    figure.suptitle(title)
    for axis, kind in zip(axes[0], kinds, strict=True):
        axis.set_title(kind)
        _panel(axis, [latency for latency in found if latency.kind == kind])
    axes[0][0].set_ylabel("milliseconds")
    save(figure, path, axes[0][0])


def _panel(axis: Axes, found: Sequence[Latency]) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    for system in dict.fromkeys(latency.system for latency in found):
        points = [(latency.megapixels, latency.median) for latency in found if latency.system == system]
        style, colour = _STYLES.get(system, ("-o", COLOURS.get(system)))
        label = f"{OURS} {WITHOUT}" if system == WITHOUT else system
        axis.plot(*zip(*points, strict=True), style, color=colour, label=label, markersize=4)
    sizes = sorted({latency.megapixels for latency in found})
    axis.set_xticks(sizes, [*map(str, sizes)])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("megapixels")
