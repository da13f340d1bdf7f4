"""What every measured system can do."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.load import Outcome
from benchmarks.photos import Photo
from benchmarks.processes import ProcessTree

ROOT = Path(__file__).parents[2]
CORES = len(os.sched_getaffinity(0))


class SystemFailed(Exception):
    """A measured system did not start or did not answer."""


class System(Protocol):
    """One of those that are compared."""

    name: str
    over_http: bool

    def version(self) -> str:
        """Its version, and that of the library that does the work."""

    def start(self, folder: Path) -> None:
        """Start it; `folder` is empty and its own."""

    def stop(self) -> None:
        """End all its processes."""

    def tree(self) -> ProcessTree:
        """Its processes."""

    def prepare(self, photos: Sequence[Photo]) -> None:
        """Make these photos known to it."""

    def fetch(self, photo: Photo, chain: str) -> bytes:
        """The photo, treated."""

    def run(self, photos: Sequence[Photo], chain: str, clients: int, lengths: Sequence[int]) -> Outcome:
        """Treat all of them, in this order, by so many at a time; `lengths` are those of good answers."""


def thumb_side(chain: str) -> int:
    """The number in `thumb=NUMBER`, which is all that peers are asked for."""
    name, _, side = chain.partition("=")
    if name != "thumb" or not side.isdecimal():
        raise ValueError(f"peers are compared in thumbnails, not in {chain!r}")
    return int(side)
