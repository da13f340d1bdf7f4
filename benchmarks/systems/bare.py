"""libvips itself, as fast as it goes on these cores: the mark that a service can come near and not pass."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyvips

from benchmarks.load import Outcome
from benchmarks.photos import Photo
from benchmarks.processes import ProcessTree
from benchmarks.systems.bare_worker import INDEX_BYTES, NO_MORE, BareJob, BareOutcome
from benchmarks.systems.base import CORES, ROOT, SystemFailed, thumb_side


class Bare:
    """A process a core; each takes the next photo when it is done with one."""

    name = "libvips"
    over_http = False

    def __init__(self) -> None:
        self._workers: list[subprocess.Popen[str]] = []
        self._outputs: list[Path] = []
        self._indices = -1

    def version(self) -> str:
        """See System."""
        return f"libvips {'.'.join(str(pyvips.version(part)) for part in range(3))}, pyvips {pyvips.__version__}"

    def start(self, folder: Path) -> None:
        """See System."""
        reader, self._indices = os.pipe()
        command = [sys.executable, "-m", "benchmarks.systems.bare_worker", str(folder), str(reader)]
        environment = {**os.environ, "VIPS_CONCURRENCY": "1"}  # as many processes as cores, so one thread each
        for _ in range(CORES):
            worker = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                pass_fds=[reader],
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            self._workers.append(worker)
        os.close(reader)
        self._outputs = [Path(self._line(worker)) for worker in self._workers]

    def stop(self) -> None:
        """See System."""
        if self._workers:
            os.close(self._indices)
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self._workers = []

    def tree(self) -> ProcessTree:
        """See System."""
        return ProcessTree([worker.pid for worker in self._workers])

    def prepare(self, photos: Sequence[Photo]) -> None:
        """Nothing: it reads the photos' files."""

    def fetch(self, photo: Photo, chain: str) -> bytes:
        """See System."""
        self._work(self._workers[:1], [photo], thumb_side(chain))
        return self._outputs[0].read_bytes()

    def run(self, photos: Sequence[Photo], chain: str, clients: int, lengths: Sequence[int]) -> Outcome:
        """See System; `clients` has no meaning here: the processes are always all busy."""
        started = time.perf_counter()
        done = self._work(self._workers, photos, thumb_side(chain))
        seconds = time.perf_counter() - started
        sizes = {index: size for outcome in done for index, size in outcome.sizes.items()}
        wrong = sum(sizes.get(index) != length for index, length in enumerate(lengths))
        latencies = [latency for outcome in done for latency in outcome.latencies]
        return Outcome(seconds=seconds, latencies=latencies, failures={"another length": wrong} if wrong else {})

    def _work(self, workers: Sequence[subprocess.Popen[str]], photos: Sequence[Photo], side: int) -> list[BareOutcome]:
        job = BareJob(paths=[str(photo.path) for photo in photos], format=photos[0].format, side=side)
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write(job.model_dump_json() + "\n")
            worker.stdin.flush()
        self._hand_out([*range(len(photos)), *[NO_MORE] * len(workers)])
        return [BareOutcome.model_validate_json(self._line(worker)) for worker in workers]

    def _hand_out(self, indices: Iterable[int]) -> None:
        os.write(self._indices, b"".join(index.to_bytes(INDEX_BYTES) for index in indices))

    def _line(self, worker: subprocess.Popen[str]) -> str:
        assert worker.stdout is not None
        line = worker.stdout.readline()
        if not line:
            raise SystemFailed("a process of the bare loop ended")
        return line.strip()
