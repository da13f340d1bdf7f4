"""The order of measuring speed: every system in turn, round after round, so that noise meets all of them."""

from collections.abc import Iterator, Sequence

from benchmarks.bench import Bench, Effort, Task
from benchmarks.photos import Photo
from benchmarks.results import CLIENTS, OURS, THUMB, Cell
from benchmarks.systems.base import System

CHAINS = ("thumb=200", "thumb=200&rotate=90", "rotate=90&thumb=200")
"""The order of a chain is the user's; it is to cost nothing."""
CHAIN_FORMAT = "jpeg"


def speed(systems: Sequence[System], sets: dict[str, tuple[Photo, ...]], effort: Effort) -> Iterator[Cell]:
    """All cells of thumbnails: round after round, format after format, system after system."""
    bench = Bench(systems, effort)
    for photos in sets.values():
        bench.look(photos, THUMB)
        bench.calibrate(photos, THUMB)
    for turn in range(effort.rounds):
        for photos in sets.values():
            yield from bench.measure(Task(photos, THUMB, CLIENTS), turn)
            if turn < effort.sweep_rounds:
                served = [system for system in systems if system.over_http]
                for clients in effort.clients:
                    yield from bench.measure(Task(photos, THUMB, clients), turn, served)


def chains(systems: Sequence[System], photos: tuple[Photo, ...], effort: Effort) -> Iterator[Cell]:
    """All cells of the chains that are compared with each other, in our service."""
    ours = [system for system in systems if system.name == OURS]
    bench = Bench(ours, effort)
    for chain in CHAINS:
        bench.look(photos, chain)
        bench.calibrate(photos, chain)
    for turn in range(effort.rounds):
        for chain in CHAINS[turn % len(CHAINS) :] + CHAINS[: turn % len(CHAINS)]:
            yield from bench.measure(Task(photos, chain, CLIENTS), turn)
