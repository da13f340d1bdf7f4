"""One run: what is measured, with which photos and systems, in which order."""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from benchmarks import machine
from benchmarks.bench import Effort
from benchmarks.fidelity import fidelity
from benchmarks.memory import memory
from benchmarks.peers import HERE
from benchmarks.photos import FORMATS, Photo, photo_set
from benchmarks.results import BARE, IPX, OURS, SYSTEMS, THUMBOR, Cell, PhotoSet, Results
from benchmarks.speed import CHAIN_FORMAT, chains, speed
from benchmarks.systems import encoders
from benchmarks.systems.bare import Bare
from benchmarks.systems.base import System
from benchmarks.systems.ipx import Ipx
from benchmarks.systems.ours import Ours
from benchmarks.systems.thumbor import Thumbor

SECTIONS = ("thumbs", "chains", "fidelity", "memory")
PHOTOS = HERE / ".photos"
_MIB = 1024**2
_MAKERS: dict[str, Callable[[], System]] = {
    OURS: Ours,
    BARE: Bare,
    THUMBOR: lambda: Thumbor(PHOTOS),
    IPX: lambda: Ipx(PHOTOS),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What is measured."""

    effort: Effort
    most_photos: int | None = None
    """Of each format; None: all."""
    sections: tuple[str, ...] = SECTIONS
    formats: tuple[str, ...] = FORMATS
    systems: tuple[str, ...] = SYSTEMS

    def changed(self, rounds: int | None, **changes: Any) -> Self:
        """With these fields in place of its own."""
        effort = dataclasses.replace(self.effort, rounds=rounds) if rounds else self.effort
        return dataclasses.replace(self, effort=effort, **changes)


FULL = Scope(Effort(rounds=5, sweep_rounds=2, seconds=4, clients=(1, 2, 32)))
QUICK = Scope(Effort(rounds=1, sweep_rounds=0, seconds=1, clients=()), most_photos=4)


def run(scope: Scope) -> Results:
    """Measure all of the scope. Raises SystemFailed, NoPhotos, CannotInstall."""
    started = time.monotonic()
    _tell("preparing photos")
    sets = photo_set(PHOTOS, scope.formats, scope.most_photos)
    results = Results(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=machine.describe(),
        versions={},
        settings=_settings(scope),
        photos=[_described(fmt, photos) for fmt, photos in sets.items()],
    )
    if set(scope.sections) & {"thumbs", "chains", "fidelity"}:
        with _started([_MAKERS[name]() for name in SYSTEMS if name in scope.systems]) as systems:
            results.versions = {system.name: system.version() for system in systems}
            _measure(scope, systems, sets, results)
    if "memory" in scope.sections and OURS in scope.systems:
        _tell("memory")
        results.peaks = list(memory(PHOTOS, scope.effort))
    results.minutes = round((time.monotonic() - started) / 60, 1)
    return results


def _measure(scope: Scope, systems: Sequence[System], sets: Mapping[str, tuple[Photo, ...]], results: Results) -> None:
    if "thumbs" in scope.sections:
        _tell("thumbnails: every answer once, to look at it")
        results.cells += _told(speed(systems, dict(sets), scope.effort))
    if "chains" in scope.sections and CHAIN_FORMAT in sets and OURS in scope.systems:
        _tell("chains")
        results.cells += _told(chains(systems, sets[CHAIN_FORMAT], scope.effort))
    if "fidelity" in scope.sections:
        _tell("fidelity")
        results.scores = fidelity(systems, sets)


@contextmanager
def _started(systems: Sequence[System]) -> Iterator[Sequence[System]]:
    with ExitStack() as stack:
        for system in systems:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="imgsvc-bench-"))
            stack.callback(system.stop)
            _tell(f"starting {system.name}")
            system.start(Path(folder))
        yield systems


def _told(cells: Iterator[Cell]) -> Iterator[Cell]:
    for cell in cells:
        clients = f"clients: {cell.clients}" if cell.clients else "all cores"
        wrong = f", WRONG: {cell.failures}" if cell.failures else ""
        _tell(
            f"  round {cell.round + 1}  {cell.format:5}{cell.chain:21}{clients:12}{cell.system:9}"
            f"{cell.goodput:8.1f}/s  p50 {cell.latency_ms[0]:7.1f} ms  p99 {cell.latency_ms[2]:7.1f} ms"
            f"  CPU {cell.cpu_ms:6.1f} ms  RSS {cell.peak_rss / _MIB:5.0f} MiB{wrong}"
        )
        yield cell


def _described(fmt: str, photos: Sequence[Photo]) -> PhotoSet:
    first = [photo for photo in photos if photo.copy == 0]
    return PhotoSet(
        format=fmt,
        photos=len(first),
        files=len(photos),
        median_megapixels=round(statistics.median(photo.megapixels for photo in first), 2),
        most_megapixels=round(max(photo.megapixels for photo in first), 2),
        mib=round(statistics.fmean(photo.path.stat().st_size for photo in first) / _MIB, 2),
    )


def _settings(scope: Scope) -> dict[str, str]:
    qualities = ", ".join(f"{fmt.upper()} {encoders.quality(fmt)}" for fmt in scope.formats if fmt != "png")
    return {
        "encoders": f"quality {qualities}, AVIF effort {encoders.AVIF_EFFORT}, JPEG progressive, PNG lossless",
        "rounds": f"{scope.effort.rounds}, with other numbers of clients {scope.effort.sweep_rounds}",
    }


def _tell(text: str) -> None:
    print(text, flush=True)
