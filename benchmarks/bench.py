"""Measures one piece of work on every system in turn: goodput, latency, processor time, memory."""

import random
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyvips

from benchmarks.load import Outcome
from benchmarks.photos import Photo
from benchmarks.processes import MemorySampler
from benchmarks.results import BARE, CLIENTS, Cell
from benchmarks.systems.base import CORES, System, SystemFailed, thumb_side

_LOADERS = {"jpeg": "jpegload", "png": "pngload", "webp": "webpload", "avif": "heifload"}
_ROUNDING = 1
"""Pixels by which systems may round a side differently."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int
    """Repetitions of what is judged."""
    sweep_rounds: int
    """Repetitions with the other numbers of clients."""
    seconds: float
    """About how long the bare loop takes for one cell; the others do the same work."""
    clients: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work that every system of it does."""

    photos: tuple[Photo, ...]
    chain: str
    clients: int

    @property
    def format(self) -> str:
        """Of input and output."""
        return self.photos[0].format

    def __str__(self) -> str:
        return f"{self.format} {self.chain}, {self.clients} client{'s' if self.clients > 1 else ''}"


class Bench:
    """Systems that run, and what good answers of theirs look like."""

    def __init__(self, systems: Sequence[System], effort: Effort) -> None:
        self._systems = systems
        self._effort = effort
        self._lengths: dict[tuple[str, Photo, str], int] = {}
        self._repeats: dict[str, int] = {}

    def look(self, photos: Sequence[Photo], chain: str, systems: Sequence[System] | None = None) -> None:
        """Get every answer once, decode it and remember its length: warms up, too.

        Raises SystemFailed for an answer that is not the photo in the right format and size.
        """
        for system in self._systems if systems is None else systems:
            system.prepare(photos)
            with ThreadPoolExecutor(CORES if system.over_http else 1) as pool:
                bodies = list(pool.map(lambda photo, system=system: system.fetch(photo, chain), photos))
            for photo, body in zip(photos, bodies, strict=True):
                _check(system.name, photo, chain, body)
                self._lengths[system.name, photo, chain] = len(body)

    def calibrate(self, photos: Sequence[Photo], chain: str) -> None:
        """How often the photos are gone through in one cell."""
        system = next((s for s in self._systems if s.name == BARE), self._systems[0])
        seconds = self._run(system, photos, chain, CLIENTS).seconds
        self._repeats[f"{photos[0].format} {chain}"] = max(1, round(self._effort.seconds / seconds))

    def measure(self, task: Task, turn: int, systems: Sequence[System] | None = None) -> Iterator[Cell]:
        """One cell a system; who is first changes with the round."""
        chosen = list(self._systems if systems is None else systems)
        first = turn % len(chosen)
        for system in chosen[first:] + chosen[:first]:
            yield self._cell(system, task, turn)

    def _cell(self, system: System, task: Task, turn: int) -> Cell:
        order = self._order(task, turn)
        tree = system.tree()
        before = tree.cpu_seconds()
        with MemorySampler(tree) as memory:
            outcome = self._run(system, order, task.chain, task.clients)
        good = max(1, len(outcome.latencies))
        return Cell(
            system=system.name,
            format=task.format,
            chain=task.chain,
            clients=task.clients if system.over_http else 0,
            round=turn,
            seconds=round(outcome.seconds, 3),
            good=len(outcome.latencies),
            failures=outcome.failures,
            latency_ms=_percentiles(outcome.latencies),
            cpu_ms=round((tree.cpu_seconds() - before) / good * 1000, 2),
            client_cpu_ms=round(outcome.client_cpu_seconds / good * 1000, 3),
            peak_rss=memory.peak_rss,
        )

    def _order(self, task: Task, turn: int) -> list[Photo]:
        """All photos equally often; few clients, who need longer, get one copy of each in place of all."""
        repeats = self._repeats[f"{task.format} {task.chain}"]
        photos = list(task.photos)
        if task.clients < CORES:
            copies = 1 + max(photo.copy for photo in photos)
            share = max(1, round(copies * repeats * task.clients / CORES))
            photos = [photo for n in range(share) for photo in task.photos if photo.copy == n % copies]
            repeats = 1
        random.Random(turn).shuffle(photos)  # noqa: S311  # the same for every system and run
        return photos * repeats

    def _run(self, system: System, photos: Sequence[Photo], chain: str, clients: int) -> Outcome:
        lengths = [self._lengths[system.name, photo, chain] for photo in photos]
        return system.run(photos, chain, clients, lengths)


def _check(system: str, photo: Photo, chain: str, body: bytes) -> None:
    image = pyvips.Image.new_from_buffer(body, "", fail_on="error")
    image.avg()  # decodes all of it
    side = thumb_side(next(step for step in chain.split("&") if step.startswith("thumb=")))
    expected = min(side, max(photo.width, photo.height))
    loader = str(image.get("vips-loader")).removesuffix("_buffer")
    if loader != _LOADERS[photo.format] or abs(max(image.width, image.height) - expected) > _ROUNDING:
        raise SystemFailed(
            f"{system} made {image.width}x{image.height} of {loader} from {photo.filename}, asked for {chain}"
        )


def _percentiles(latencies: Sequence[float]) -> tuple[float, float, float]:
    if len(latencies) < 2:  # noqa: PLR2004  # quantiles needs two
        return (0.0, 0.0, 0.0)
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return (round(cuts[49] * 1000, 2), round(cuts[94] * 1000, 2), round(cuts[98] * 1000, 2))
