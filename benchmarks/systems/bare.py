"""libvips itself, as fast as it runs on these cores: no HTTP, no limits, no checks. A service can only come close."""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import product
from benchmarks.load import Outcome
from benchmarks.photos import Photo
from benchmarks.systems.bare_worker import BareJob, fetched, work
from benchmarks.systems.base import CORES, System, thumb_side
from measuring.processes import Tree


class Bare(System):
    """One process per core. Each takes the next photo when it has finished one."""

    name = "libvips"
    over_http = False

    def version(self) -> str:
        """See System."""
        return f"{product.LIBVIPS}, pyvips {product.pyvips.__version__}"

    @contextmanager
    def started(self, folder: Path) -> Iterator[None]:
        """See System. Spawned: a fork of a process that has used libvips hangs."""
        self._folder = str(folder)
        with multiprocessing.get_context("spawn").Pool(CORES, product.pyvips.cache_set_max, (0,)) as self._pool:
            self.tree = Tree(*(child.pid for child in multiprocessing.active_children() if child.pid))
            yield

    def fetch(self, photo: Photo, chain: str) -> bytes:
        """See System."""
        return self._pool.apply(fetched, (self._job(0, photo, chain),))

    def run(self, photos: Sequence[Photo], chain: str, clients: int, lengths: Sequence[int]) -> Outcome:
        """See System. `clients` has no meaning here: all processes are always busy."""
        jobs = [self._job(index, photo, chain) for index, photo in enumerate(photos)]
        started = time.perf_counter()
        done = list(self._pool.imap_unordered(work, jobs))
        seconds = time.perf_counter() - started
        wrong = sum(size != lengths[index] for index, _, size in done)
        latencies = [latency for _, latency, _ in done]
        return Outcome(seconds=seconds, latencies=latencies, failures={"another length": wrong} if wrong else {})

    def _job(self, index: int, photo: Photo, chain: str) -> BareJob:
        return index, str(photo.path), thumb_side(chain), photo.format, self._folder
