"""The systems that are compared: imgsvc with levels and without, thumbor and ipx."""

import argparse
import functools
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from benchmarks.peers import CannotInstall
from benchmarks.photos import Photo
from benchmarks.results import OURS
from benchmarks.systems.base import CORES, HttpSystem, SystemFailed
from benchmarks.systems.ipx import Ipx
from benchmarks.systems.ours import Ours
from benchmarks.systems.thumbor import Thumbor
from imaging.levels import SIDES
from measuring.servers import CannotStart

T = TypeVar("T")
WITHOUT = "without levels"
_LEVEL_BYTES = "10GiB"
_MAKING_SECONDS = 60
_POLL_SECONDS = 0.02
_SETTLED_SECONDS = 1
"""After the last file appeared: its row follows, and the transform service knows an image for half a second."""


class Levelled(Ours):
    """imgsvc with levels, and a view into its data folder."""

    def __init__(self, **environment: str) -> None:
        super().__init__({"LEVEL_BYTES": _LEVEL_BYTES, **environment}, OURS)

    @contextmanager
    def started(self, folder: Path) -> Iterator[None]:
        """See System."""
        self._levels = folder / "data" / "blobs" / "levels"
        with super().started(folder):
            yield

    def level_files(self, photo: Photo) -> list[Path]:
        """Where the levels of a photo are, or will be."""
        return self.files_of(_digest(photo.path), max(photo.width, photo.height))

    def files_of(self, sha256: str, longer_side: int) -> list[Path]:
        """Where the levels of a content are, or will be."""
        sides = [side for side, least in SIDES.items() if longer_side >= least]
        return [self._levels / str(side) / sha256[:2] / sha256[2:4] / sha256 for side in sides]

    def make_levels(self, photos: Sequence[Photo]) -> None:
        """Upload photos, request each once, and wait for their levels. Raises CannotStart."""
        prepare(self, photos)
        fetch(self, photos, "thumb=100", "jpeg")
        await_files(path for photo in photos for path in self.level_files(photo))


def await_files(paths: Iterable[Path]) -> None:
    """Wait until levels are stored. Raises CannotStart if none is added for a minute."""
    left, deadline = [*paths], time.monotonic() + _MAKING_SECONDS
    while still := [path for path in left if not path.exists()]:
        if len(still) < len(left):
            left, deadline = still, time.monotonic() + _MAKING_SECONDS
        if time.monotonic() > deadline:
            raise CannotStart(f"{len(still)} levels were not made, such as {still[0]}")
        time.sleep(_POLL_SECONDS)
    time.sleep(_SETTLED_SECONDS)


def prepare(system: HttpSystem, photos: Sequence[Photo]) -> None:
    """Make photos known to a system."""
    in_threads(lambda photo: system.prepare([photo]), photos)


def fetch(system: HttpSystem, photos: Sequence[Photo], chain: str, output: str) -> list[bytes]:
    """One variant of each photo. Raises SystemFailed."""
    return in_threads(lambda photo: system.fetch(photo, chain, output), photos)


def in_threads(function: Callable[[Photo], T], photos: Sequence[Photo]) -> list[T]:
    """Call a function for each photo, as many at a time as there are cores.

    Checks run in an event loop. `measuring.client.ask`, which the systems use, has one of its own.
    """
    with ThreadPoolExecutor(CORES) as threads:
        return [*threads.map(function, photos)]


def peer_option(parser: argparse.ArgumentParser) -> None:
    """Add `--without-peers`."""
    parser.add_argument("--without-peers", action="store_true", help="leave out thumbor and ipx")


@contextmanager
def running(levelled: Levelled, *, peers: bool) -> Iterator[list[HttpSystem]]:
    """Run all systems at once: with levels, without, and the peers.

    Raises CannotStart, also for CannotInstall and for the SystemFailed of the block.
    """
    systems: list[HttpSystem] = [levelled, Ours(name=WITHOUT), *([Thumbor(), Ipx()] if peers else [])]
    with ExitStack() as stack:
        try:
            for system in systems:
                print(f"starting {system.name}", flush=True)
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="imgsvc-levels-"))
                stack.enter_context(system.started(Path(folder)))
            yield systems
        except (CannotInstall, SystemFailed) as error:
            raise CannotStart(str(error)) from error


@functools.cache
def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
