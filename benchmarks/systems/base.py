"""What every measured system can do."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.load import Job, Outcome, Target, generate
from benchmarks.photos import Photo
from measuring.client import ask
from measuring.processes import Tree, in_a_process
from measuring.servers import Process, await_port, free_port, running

CORES = len(os.sched_getaffinity(0))
_FETCH_SECONDS = 120


class SystemFailed(Exception):
    """A measured system gave a wrong answer, or none."""


class System(ABC):
    """One of the systems that are compared."""

    name: str
    over_http = True
    tree: Tree
    """Its processes, once it is started."""

    @abstractmethod
    def version(self) -> str:
        """Its version, and that of the library that does the work."""

    @abstractmethod
    def started(self, folder: Path) -> AbstractContextManager[None]:
        """Run it. `folder` is empty and its own."""

    def prepare(self, photos: Sequence[Photo]) -> None:  # noqa: B027  # most systems read the folder of the photos
        """Make these photos known to it."""

    @abstractmethod
    def fetch(self, photo: Photo, chain: str) -> bytes:
        """One variant of a photo."""

    @abstractmethod
    def run(self, photos: Sequence[Photo], chain: str, clients: int, lengths: Sequence[int]) -> Outcome:
        """Transform all photos in this order, `clients` at a time. `lengths`: those of right answers."""


class HttpSystem(System):
    """A server that listens on one or more ports, among which the clients are divided."""

    ports = 1
    urls: list[str]

    def command(self, folder: Path, ports: list[int]) -> tuple[list[str], Mapping[str, object]]:
        """The command that starts it, and its environment."""
        raise NotImplementedError

    @abstractmethod
    def path(self, photo: Photo, chain: str, output: str = "") -> str:
        """Path and query of a variant. `output` is its format, by default the photo's."""

    @contextmanager
    def started(self, folder: Path) -> Iterator[None]:
        """See System."""
        log, ports = folder / f"{self.name}.log", [free_port() for _ in range(self.ports)]
        command, settings = self.command(folder, ports)
        environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
        with running(command, log, cwd=folder, env=environment) as process:
            for port in ports:
                await_port(port, process, log)
            self.serves([f"http://127.0.0.1:{port}" for port in ports], process)
            yield

    def serves(self, urls: list[str], process: Process) -> None:
        """Note where it is."""
        self.urls, self.tree = urls, Tree(process.pid)

    def fetch(self, photo: Photo, chain: str, output: str = "") -> bytes:
        """See System. `output` is the format of the variant, by default the photo's."""
        answer = ask(self.urls[0] + self.path(photo, chain, output), seconds=_FETCH_SECONDS)
        if not answer.ok:
            raise SystemFailed(f"{self.name}: {self.path(photo, chain, output)}{answer}")
        return answer.body

    def run(self, photos: Sequence[Photo], chain: str, clients: int, lengths: Sequence[int]) -> Outcome:
        """See System."""
        targets = [
            Target(self.path(photo, chain), f"image/{photo.format}", length)
            for photo, length in zip(photos, lengths, strict=True)
        ]
        return in_a_process(generate, Job(self.urls, clients, targets))


def thumb_side(chain: str) -> int:
    """The number in `thumb=NUMBER`, the only chain that peers are compared in."""
    name, _, side = chain.partition("=")
    if name != "thumb" or not side.isdecimal():
        raise ValueError(f"peers are compared in thumbnails, not in {chain!r}")
    return int(side)
