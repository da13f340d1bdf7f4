"""Measures speed: every system in turn, round after round, so that disturbances affect all of them alike."""

import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.load import Outcome
from benchmarks.photos import Photo
from benchmarks.product import pyvips
from benchmarks.results import BARE, BEFORE, CLIENTS, OURS, THUMB, Cell
from benchmarks.systems.base import CORES, System, SystemFailed, thumb_side
from measuring.percentiles import percentile
from measuring.processes import Sampler

CHAINS = ("thumb=200", "thumb=200&rotate=90", "rotate=90&thumb=200")
"""The order of a chain is the user's choice and must not cost anything."""
CHAIN_FORMAT = "jpeg"
_LOADERS = {"jpeg": "jpegload", "png": "pngload", "webp": "webpload", "avif": "heifload"}
_ROUNDING = 1
"""Pixels by which systems may round a side differently."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int
    """Rounds with 8 clients, whose figures are judged."""
    sweep_rounds: int
    """Rounds with the other numbers of clients."""
    seconds: float
    """How long the bare loop takes for one cell, approximately. The other systems do the same work."""
    clients: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work for every system."""

    photos: tuple[Photo, ...]
    chain: str
    repeats: int
    """How many times the photos are requested in one cell."""


class Bench:
    """Running systems, and the lengths of their right answers."""

    def __init__(self, systems: Sequence[System], effort: Effort) -> None:
        self._systems = systems
        self._effort = effort
        self._lengths: dict[tuple[str, Photo, str], int] = {}

    def task(self, photos: tuple[Photo, ...], chain: str) -> Task:
        """Get every answer once and check it, which also warms the systems up; then see how long the work takes.

        Raises:
            SystemFailed: an answer is not the photo in the right format and size.

        """
        for system in self._systems:
            system.prepare(photos)
            with ThreadPoolExecutor(CORES if system.over_http else 1) as threads:
                bodies = list(threads.map(lambda photo, system=system: system.fetch(photo, chain), photos))
            for photo, body in zip(photos, bodies, strict=True):
                check(system.name, photo, chain, body)
                self._lengths[system.name, photo, chain] = len(body)
        bare = next((system for system in self._systems if system.name == BARE), self._systems[0])
        seconds = self._run(bare, photos, chain, CLIENTS).seconds
        return Task(photos, chain, max(1, round(self._effort.seconds / seconds)))

    def measure(self, task: Task, turn: int, clients: int = CLIENTS) -> Iterator[Cell]:
        """One cell per system. A different one is first in each round; only 8 clients include the bare loop."""
        chosen = [system for system in self._systems if system.over_http or clients == CLIENTS]
        first = turn % len(chosen)
        for system in chosen[first:] + chosen[:first]:
            yield self._cell(system, task, turn, clients)

    def _cell(self, system: System, task: Task, turn: int, clients: int) -> Cell:
        order = _order(task, turn, clients)
        before = system.tree.cpu_seconds()
        with Sampler(system.tree) as memory:
            outcome = self._run(system, order, task.chain, clients)
        good = max(1, len(outcome.latencies))
        p50, p95, p99 = (round(percentile(outcome.latencies or [0.0], share) * 1000, 2) for share in (0.50, 0.95, 0.99))
        return Cell(
            system=system.name,
            format=task.photos[0].format,
            chain=task.chain,
            clients=clients if system.over_http else 0,
            round=turn,
            seconds=round(outcome.seconds, 3),
            good=len(outcome.latencies),
            failures=outcome.failures,
            latency_ms=(p50, p95, p99),
            cpu_ms=round((system.tree.cpu_seconds() - before) / good * 1000, 2),
            client_cpu_ms=round(outcome.client_cpu_seconds / good * 1000, 3),
            peak_rss=memory.resident,
        )

    def _run(self, system: System, photos: Sequence[Photo], chain: str, clients: int) -> Outcome:
        lengths = [self._lengths[system.name, photo, chain] for photo in photos]
        return system.run(photos, chain, clients, lengths)


def _order(task: Task, turn: int, clients: int) -> list[Photo]:
    """All photos equally often. A few clients, which need longer, get some copies of each instead of all."""
    photos, repeats = list(task.photos), task.repeats
    if clients < CORES:
        copies = 1 + max(photo.copy for photo in photos)
        share = max(1, round(copies * repeats * clients / CORES))
        photos = [photo for n in range(share) for photo in task.photos if photo.copy == n % copies]
        repeats = 1
    random.Random(turn).shuffle(photos)  # noqa: S311  # the same for every system and run
    return photos * repeats


def check(system: str, photo: Photo, chain: str, body: bytes, output: str = "") -> None:
    """Decode an answer. `output` is its format, by default the photo's.

    Raises:
        SystemFailed: it is not the photo in the right format and size.

    """
    image = pyvips.Image.new_from_buffer(body, "", fail_on="error")
    image.avg()  # decodes all of it
    side = thumb_side(next(step for step in chain.split("&") if step.startswith("thumb=")))
    expected = min(side, max(photo.width, photo.height))
    loader = str(image.get("vips-loader")).removesuffix("_buffer")
    if loader != _LOADERS[output or photo.format] or abs(max(image.width, image.height) - expected) > _ROUNDING:
        made = f"{image.width} x {image.height} by {loader}"
        raise SystemFailed(f"{system} answered {chain} of {photo.filename} with {made}")


def speed(systems: Sequence[System], sets: Mapping[str, tuple[Photo, ...]], effort: Effort) -> Iterator[Cell]:
    """All cells of thumbnails: round after round, format after format, system after system."""
    bench = Bench(systems, effort)
    tasks = [bench.task(photos, THUMB) for photos in sets.values()]
    for turn in range(effort.rounds):
        for task in tasks:
            yield from bench.measure(task, turn)
            for clients in effort.clients if turn < effort.sweep_rounds else ():
                yield from bench.measure(task, turn, clients)


def chains(systems: Sequence[System], photos: tuple[Photo, ...], effort: Effort) -> Iterator[Cell]:
    """All cells of the chains that are compared with each other, in our service and its earlier version."""
    bench = Bench([system for system in systems if system.name in {OURS, BEFORE}], effort)
    tasks = [bench.task(photos, chain) for chain in CHAINS]
    for turn in range(effort.rounds):
        first = turn % len(tasks)
        for task in tasks[first:] + tasks[:first]:
            yield from bench.measure(task, turn)
