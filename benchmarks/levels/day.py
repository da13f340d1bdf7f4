"""A simulated day of a site: what advice finds, and what precomputing by itself saves.

Requests for 2,000 images by Zipf's law go through a cache of a fixed size, as through Varnish, to the whole service in
this process. Its renders are real. Only the clock is not: the day has 144 steps of ten minutes, and each lasts as long
as its requests and jobs take. At noon, half of the popular chains are replaced by others.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from aiohttp import web
from matplotlib.figure import Figure as Plot

from benchmarks import plots
from benchmarks.photos import distinct, of_size
from imgsvc import counting
from imgsvc.embedded import LOCATOR, create_app
from imgsvc.settings import ServeSettings
from measuring.figures import Figure, at_least, at_most
from measuring.zipf import Zipf
from service_kit.http.server import Runner, listen
from service_kit.usage import Outcome, header
from storage_service import jobs, usage
from storage_service.blobs import Blobs
from storage_service.http.handlers import SETTINGS
from storage_service.http.jobs import JOBS
from storage_service.http.usage import PRECOMPUTED, USAGE, described
from storage_service.precomputing import Precomputing
from storage_service.settings import StorageSettings
from storage_service.variants import Variants
from transform_service.settings import TransformSettings

_MORNING = ("webp?thumb=300", "jpg?resize=640x480,cover", "webp?thumb=800&sharpen=1", "jpg?thumb=150")
_EVENING = ("webp?thumb=300", "jpg?resize=640x480,cover", "webp?resize=400x400,cover", "webp?thumb=640&grayscale")
_RARE = 0.02
"""The share of requests for chains that nobody else requests."""
_STEPS, _STEP_SECONDS, _FIRST_HOUR, _NOON = 144, 600.0, 5, 72
_PACE_SECONDS = 5.0
_PRINTED = 12
"""After how many steps a line is printed."""
_EXPONENT, _CLIENTS, _PHOTOS = 1.0, 4, 20
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
    with _clock() as clock:
        async with _service(chosen.megabytes) as (app, url, folder), aiohttp.ClientSession() as http:
            site = _Site(app, url, http, folder)
            site.cached = chosen.cached
            for _ in range(chosen.images):
                await site.upload(next(photos))
            await site.let_them_be_old()
            day = Day()
            for step in range(_STEPS):
                await site.step(step, chosen.requests // _STEPS)
                for _ in range(chosen.uploads * (step + 1) // _STEPS - chosen.uploads * step // _STEPS):
                    await site.upload(next(photos))
                await _note(day, site, step, automatic=automatic)
                end = clock[0] + _STEP_SECONDS
                while clock[0] < end and await site.jobs_done():
                    clock[0] += _PACE_SECONDS
                clock[0] = end
                if (step + 1) % _PRINTED == 0:
                    print(f"  {(step + 1) / 6:4.1f} h  {sum(day.live[-_PRINTED:]):6.1f} s of live renders", flush=True)
            day.left = await site.delete_all()
    return day


async def _note(day: Day, site: "_Site", step: int, *, automatic: bool) -> None:
    day.live.append(await site.live_seconds())
    if step == _FIRST_HOUR:
        report = await described(site.app[USAGE], site.app[PRECOMPUTED], 1, 1000)
        verdicts = {each["chain"]: each["precompute"]["verdict"] for each in report["chains"] if each["precompute"]}
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


class _Site:
    """A service with a cache in front, and its visitors."""

    def __init__(self, app: web.Application, url: str, http: aiohttp.ClientSession, folder: Path) -> None:
        self.app = app
        self._url = url
        self._http = http
        self._folder = folder
        self._images: list[str] = []
        self._cache: OrderedDict[tuple[str, str], int] = OrderedDict()
        """Sizes of responses, used last at the end."""
        self.cached = 0
        self._chance = random.Random(17)  # noqa: S311
        self._known = 0.0
        metadata = app[USAGE]._metadata  # noqa: SLF001
        self._metadata = metadata
        limit = app[SETTINGS].variant_bytes
        self._variants = Variants(metadata, Blobs(f"file://{folder}/blobs"), limit)
        self.precomputing = Precomputing(
            metadata, app[PRECOMPUTED], self._variants, app[JOBS], app[USAGE], cores=1, automatic=True
        )

    async def upload(self, body: bytes) -> None:
        headers = {"Content-Type": "image/jpeg"}
        async with self._http.post(f"{self._url}/v1/images", data=body, headers=headers) as answer:
            self._images.append(str((await answer.json())["image_id"]))

    async def let_them_be_old(self) -> None:
        await self._metadata.change("UPDATE images SET created_at = $1", datetime.now(UTC) - timedelta(days=30))

    async def step(self, step: int, number: int) -> None:
        zipf, chains = Zipf(len(self._images), _EXPONENT), _MORNING if step < _NOON else _EVENING
        wanted = iter([(self._images[zipf.pick(self._chance)], self._chain(chains)) for _ in range(number)])

        async def visitor() -> None:
            for image_id, chain in wanted:
                await self._request(image_id, chain)

        await asyncio.gather(*(visitor() for _ in range(_CLIENTS)))
        await counting.add(self.app)

    def _chain(self, popular: tuple[str, ...]) -> str:
        rare = self._chance.random() < _RARE
        return f"webp?thumb={self._chance.randrange(100, 900)}&blur=1" if rare else self._chance.choice(popular)

    async def _request(self, image_id: str, chain: str) -> None:
        if (size := self._cache.pop((image_id, chain), 0)) == 0:
            async with self._http.get(f"{self._url}/v1/images/{image_id}.{chain}") as answer:
                size = len(await answer.read())
                assert answer.status == 200, (chain, answer.status)  # noqa: PLR2004
        else:
            self.app[counting.TALLY].add(header(Outcome.HIT, 0, chain), image_id, size)
        self._cache[image_id, chain] = size
        if len(self._cache) > self.cached:
            self._cache.popitem(last=False)

    async def live_seconds(self) -> float:
        """Seconds of renders since the last call."""
        total = sum(chain.seconds for chain in await self.app[USAGE].chains(10_000))
        seconds, self._known = total - self._known, total
        return seconds

    async def jobs_done(self) -> bool:
        """Let the jobs be done that are due by the simulated time. Returns whether others will be."""
        due = "SELECT count(*) FROM jobs WHERE failed_at IS NULL AND due_at <= $1"
        while await self.precomputing.step() or (await self._metadata.fetch(due, jobs._now()))[0][0]:  # noqa: ASYNC110, SLF001
            await asyncio.sleep(0.02)
        return (await self.app[JOBS].waiting())[0] > 0

    def stored(self) -> tuple[int, int]:
        """The number and the bytes of stored variants."""
        sizes = [path.stat().st_size for path in (self._folder / "blobs" / "variants").rglob("*") if path.is_file()]
        return len(sizes), sum(sizes)

    async def delete_all(self) -> int:
        for image_id in self._images:
            async with self._http.delete(f"{self._url}/v1/images/{image_id}") as answer:
                assert answer.status == 204  # noqa: PLR2004
        return self.stored()[0] + len(await self.app[USAGE].images(10_000, 10))


@contextmanager
def _clock() -> Iterator[list[float]]:
    """The time of usage and of jobs, which the simulation moves on."""
    now = [time.time() // 86_400 * 86_400]
    real = usage._now, jobs._now  # noqa: SLF001
    usage._now, jobs._now = lambda: now[0], lambda: int(now[0] * 1000)  # noqa: SLF001
    try:
        yield now
    finally:
        usage._now, jobs._now = real  # noqa: SLF001


@asynccontextmanager
async def _service(megabytes: int) -> AsyncIterator[tuple[web.Application, str, Path]]:
    """The whole service in this process, with small caches of its own."""
    with tempfile.TemporaryDirectory(prefix="imgsvc-day-") as name:
        folder = Path(name)
        storage = StorageSettings(data_dir=folder, variant_bytes=megabytes * 10**6, auth="open")
        transform = TransformSettings(spool_dir=folder / "spool", result_cache_bytes=16 * 1024**2)
        app = create_app(ServeSettings(data_dir=folder), storage, transform)
        runner = Runner(app)
        await runner.setup()
        url = await listen(runner, "127.0.0.1", 0)
        app[LOCATOR].base_url = url
        yield app, url, folder
        runner.hurry()
        await runner.cleanup()


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
