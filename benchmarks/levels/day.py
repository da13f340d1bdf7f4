"""A simulated day of a site: what advice finds, and what precomputing by itself saves.

Requests for 2,000 images by Zipf's law go through a cache of a fixed size, as through Varnish, to the whole service in
this process. Its renders are real. Only the clock is not: the day has 144 steps of ten minutes, and each lasts as long
as its requests and jobs take. At noon, half of the popular chains are replaced by others.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from matplotlib.figure import Figure as Plot

from benchmarks import plots
from benchmarks.levels.site import Site, clock, service
from benchmarks.photos import distinct, of_size
from measuring.figures import Figure, at_least, at_most
from storage_service.http.usage import PRECOMPUTED, USAGE, reported

_MORNING = ("webp?thumb=300", "jpg?resize=640x480,cover", "webp?thumb=800&sharpen=1", "jpg?thumb=150")
_EVENING = ("webp?thumb=300", "jpg?resize=640x480,cover", "webp?resize=400x400,cover", "webp?thumb=640&grayscale")
_STEPS, _STEP_SECONDS, _FIRST_HOUR, _NOON = 144, 600.0, 5, 72
_PACE_SECONDS = 5.0
_PRINTED = 12
"""After how many steps a line is printed."""
_PHOTOS = 20
_PLOT = Path(__file__).parents[1] / "plots" / "day.svg"


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--images", type=int, default=2000, help="images in the morning (default: 2000)")
    parser.add_argument("--uploads", type=int, default=300, help="images that are uploaded (default: 300)")
    parser.add_argument("--requests", type=int, default=43_200, help="requests (default: 43200)")
    parser.add_argument(
        "--cached", type=int, default=2000, help="responses that the cache in front holds (default: 2000)"
    )
    parser.add_argument("--megabytes", type=int, default=500, help="storage budget of variants (default: 500)")
    parser.add_argument("--plot", type=Path, default=_PLOT, help="where to draw (default: benchmarks/plots/day.svg)")


@dataclass
class Day:
    """What a day was like."""

    live: list[float] = field(default_factory=list)
    """Seconds of renders for which somebody waited, by step."""
    advised: set[str] = field(default_factory=set)
    """The chains that the advice names in the first hour."""
    adopted: dict[str, int] = field(default_factory=dict)
    """The step at which each chain was adopted."""
    dropped: set[str] = field(default_factory=set)
    most_bytes: int = 0
    left: int = 0
    """Files of variants, and images in the top list, after all images were deleted."""


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """The same day without and with automatic mode."""
    manual, automatic = await _day(chosen, automatic=False), await _day(chosen, automatic=True)
    _draw(manual, automatic, chosen.plot)
    planted, late = set(_MORNING), set(_EVENING) - set(_MORNING)
    delay = max((automatic.adopted.get(chain, 10**6) - _NOON for chain in late), default=0) * _STEP_SECONDS / 60
    named, share = len(manual.advised & planted), automatic.most_bytes / (chosen.megabytes * 1e6)
    return [
        at_least("popular chains that the advice names in the first hour, of 4", named, 4),
        at_most("other chains that it names", len(manual.advised - planted), 0),
        Figure("live renders without automatic mode", f"{sum(manual.live):.1f} s"),
        Figure("live renders with automatic mode", f"{sum(automatic.live):.1f} s"),
        at_least("live renders saved", (1 - sum(automatic.live) / sum(manual.live)) * 100, 80, " %"),
        at_most("minutes until the new chains of noon were adopted", delay, 60),
        at_most("most bytes of variants, of the budget", share * 100, 100, " %"),
        at_most("files and counts that deleted images leave behind", automatic.left, 0),
    ]


async def _day(chosen: argparse.Namespace, *, automatic: bool) -> Day:
    print(f"a day {'with' if automatic else 'without'} automatic mode", flush=True)
    photos = distinct(of_size(1, ["jpg"], _PHOTOS), chosen.images + chosen.uploads)
    with clock() as now:
        async with service(chosen.megabytes) as (app, url, folder), aiohttp.ClientSession() as http:
            site = Site(app, url, http, folder)
            site.cached = chosen.cached
            for _ in range(chosen.images):
                await site.upload(next(photos))
            await site.let_them_be_old()
            day = Day()
            for step in range(_STEPS):
                await site.visit(_MORNING if step < _NOON else _EVENING, chosen.requests // _STEPS)
                for _ in range(chosen.uploads * (step + 1) // _STEPS - chosen.uploads * step // _STEPS):
                    await site.upload(next(photos))
                await _note(day, site, step, automatic=automatic)
                end = now[0] + _STEP_SECONDS
                while now[0] < end and await site.jobs_done():
                    now[0] += _PACE_SECONDS
                now[0] = end
                if (step + 1) % _PRINTED == 0:
                    print(f"  {(step + 1) / 6:4.1f} h  {sum(day.live[-_PRINTED:]):6.1f} s of live renders", flush=True)
            day.left = await site.delete_all()
    return day


async def _note(day: Day, site: Site, step: int, *, automatic: bool) -> None:
    day.live.append(await site.live_seconds())
    if step == _FIRST_HOUR:
        report = await reported(site.app[USAGE], site.app[PRECOMPUTED], 1, 1000)
        verdicts = {each.chain: each.precompute.verdict for each in report.chains if each.precompute}
        day.advised = {chain for chain, verdict in verdicts.items() if verdict == "adopt"}
    if not automatic:
        return
    before = set(await site.app[PRECOMPUTED].chains())
    await site.precomputing.decide()
    after = set(await site.app[PRECOMPUTED].chains())
    for chain in after - before:
        day.adopted[chain] = step + 1
        print(f"  {(step + 1) / 6:4.1f} h  adopted {chain}", flush=True)
    for chain in before - after:
        day.dropped.add(chain)
        print(f"  {(step + 1) / 6:4.1f} h  dropped {chain}", flush=True)
    day.most_bytes = max(day.most_bytes, site.stored()[1])


def _draw(manual: Day, automatic: Day, path: Path) -> None:
    plots.set_style()
    figure = Plot(figsize=(8, 3.6))
    axis = figure.subplots()
    hours = [(step + 1) / 6 for step in range(0, _STEPS, 3)]
    for day, label in ((manual, "automatic mode off"), (automatic, "automatic mode on")):
        axis.plot(hours, [sum(day.live[step : step + 3]) * 2 for step in range(0, _STEPS, 3)], label=label)
    axis.axvline(_NOON / 6, color="grey", linewidth=0.8, linestyle=":")
    axis.annotate(
        "half of the chains change", (_NOON / 6, axis.get_ylim()[1] * 0.94), xytext=(4, 0), textcoords="offset points"
    )
    axis.set_xlabel("hour of the simulated day")
    axis.set_ylabel("seconds of live renders per hour")
    axis.set_ylim(bottom=0)
    plots.save(figure, path, axis)
