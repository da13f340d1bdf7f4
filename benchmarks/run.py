"""One run: what is measured, with which photos and systems, in which order."""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import product
from benchmarks.fidelity import fidelity
from benchmarks.memory import memory
from benchmarks.photos import FORMATS, Photo, photo_set
from benchmarks.results import BARE, BEFORE, IPX, OURS, SYSTEMS, THUMBOR, Cell, Machine, PhotoSet, Results
from benchmarks.speed import CHAIN_FORMAT, Effort, chains, speed
from benchmarks.systems.bare import Bare
from benchmarks.systems.base import System
from benchmarks.systems.ipx import Ipx
from benchmarks.systems.ours import Ours
from benchmarks.systems.thumbor import Thumbor

SECTIONS = ("thumbs", "chains", "fidelity", "memory")
_MIB = 1024**2
_CLASSES: dict[str, type[System]] = {OURS: Ours, BARE: Bare, THUMBOR: Thumbor, IPX: Ipx}


@dataclass(frozen=True, slots=True)
class Scope:
    """What is measured."""

    effort: Effort
    most_photos: int | None = None
    """Per format; None: all."""
    sections: Sequence[str] = SECTIONS
    formats: Sequence[str] = FORMATS
    systems: Sequence[str] = SYSTEMS
    before: Path | None = None
    """The checkout of an earlier version of imgsvc, to be compared with this one."""

    def has(self, *sections: str) -> bool:
        """Whether one of these sections is measured."""
        return bool(set(sections) & set(self.sections))


FULL = Scope(Effort(rounds=5, sweep_rounds=2, seconds=4, clients=(1, 2, 32)))
QUICK = Scope(Effort(rounds=1, sweep_rounds=0, seconds=1, clients=()), most_photos=4)


def run(scope: Scope) -> Results:
    """Measure everything in scope. Raises CannotStart, SystemFailed, NoPhotos or CannotInstall."""
    started = time.monotonic()
    _print("preparing photos")
    sets = photo_set(scope.formats, scope.most_photos)
    results = Results(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=Machine.this(),
        settings=_settings(scope),
        photos=[_described(fmt, photos) for fmt, photos in sets.items()],
    )
    if scope.has("thumbs", "chains", "fidelity"):
        with ExitStack() as stack:
            systems = [_started(stack, _CLASSES[name]()) for name in SYSTEMS if name in scope.systems]
            if scope.before:
                systems.insert(1, _started(stack, Ours({"PYTHONPATH": str(scope.before)}, BEFORE)))
            results.versions = {system.name: system.version() for system in systems}
            _measure(scope, systems, sets, results)
    if scope.has("memory") and OURS in scope.systems:
        _print("memory")
        results.peaks = list(memory(scope.effort))
    results.minutes = round((time.monotonic() - started) / 60, 1)
    return results


def changed(scope: Scope, rounds: int | None, **changes: Sequence[str] | Path | None) -> Scope:
    """A scope with the given rounds, sections, formats, systems and earlier version."""
    effort = dataclasses.replace(scope.effort, rounds=rounds or scope.effort.rounds)
    return dataclasses.replace(scope, effort=effort, **{name: value for name, value in changes.items() if value})  # type: ignore[arg-type]


def _measure(scope: Scope, systems: Sequence[System], sets: Mapping[str, tuple[Photo, ...]], results: Results) -> None:
    if scope.has("thumbs"):
        _print("thumbnails: checking every answer once")
        results.cells += _printed(speed(systems, sets, scope.effort))
    if scope.has("chains") and CHAIN_FORMAT in sets and OURS in scope.systems:
        _print("chains")
        results.cells += _printed(chains(systems, sets[CHAIN_FORMAT], scope.effort))
    if scope.has("fidelity"):
        _print("fidelity")
        results.scores = fidelity(systems, sets)


def _started(stack: ExitStack, system: System) -> System:
    _print(f"starting {system.name}")
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="imgsvc-bench-"))
    stack.enter_context(system.started(Path(folder)))
    return system


def _printed(cells: Iterator[Cell]) -> Iterator[Cell]:
    for cell in cells:
        clients = f"clients: {cell.clients}" if cell.clients else "all cores"
        wrong = f", WRONG: {cell.failures}" if cell.failures else ""
        _print(
            f"  round {cell.round + 1}  {cell.format:5}{cell.chain:21}{clients:12}{cell.system:9}"
            f"{cell.goodput:8.1f}/s  p50 {cell.latency_ms[0]:7.1f} ms  p99 {cell.latency_ms[2]:7.1f} ms"
            f"  CPU {cell.cpu_ms:6.1f} ms  RSS {cell.peak_rss / _MIB:5.0f} MiB{wrong}"
        )
        yield cell


def _described(fmt: str, photos: Sequence[Photo]) -> PhotoSet:
    first = [photo for photo in photos if photo.copy == 0]
    megapixels = [photo.megapixels for photo in first]
    return PhotoSet(
        format=fmt,
        photos=len(first),
        files=len(photos),
        median_megapixels=round(statistics.median(megapixels), 2),
        most_megapixels=round(max(megapixels), 2),
        mib=round(statistics.fmean(photo.path.stat().st_size for photo in first) / _MIB, 2),
    )


def _settings(scope: Scope) -> dict[str, str]:
    qualities = ", ".join(f"{fmt.upper()} {product.quality(fmt)}" for fmt in scope.formats if fmt != "png")
    return {
        "encoders": f"quality {qualities}, AVIF effort {product.AVIF_EFFORT}, JPEG progressive, PNG lossless",
        "rounds": f"{scope.effort.rounds}, with other numbers of clients {scope.effort.sweep_rounds}",
    }


def _print(text: str) -> None:
    print(text, flush=True)
