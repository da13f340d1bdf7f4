"""Faults that are made on purpose, to see which thresholds notice."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loadtests.stack import Stack

_FAULTS = {
    "stop-redis": ("redis", "stop -t 1", "start"),
    "pause-redis": ("redis", "pause", "unpause"),
    "pause-postgres": ("postgres", "pause", "unpause"),
    "pause-transform": ("transform", "pause", "unpause"),
}
"""Service, and the docker commands that make and mend it."""
NAMES = tuple(_FAULTS)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that breaks, and is mended."""

    name: str
    after: float
    """Seconds after locust was started."""
    seconds: float

    @contextmanager
    def happening(self, stack: Stack) -> Iterator[None]:
        """Break and mend while the context lasts; mended at its end in any case."""
        over = threading.Event()
        thread = threading.Thread(target=self._happen, args=(stack, over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _happen(self, stack: Stack, over: threading.Event) -> None:
        service, broken, mended = _FAULTS[self.name]
        if over.wait(self.after):
            return
        ids = stack.ids(service)
        try:
            print(f"fault: {self.name}", flush=True)
            subprocess.run([stack.docker, *broken.split(), *ids], check=True, capture_output=True)
            over.wait(self.seconds)
        finally:
            subprocess.run([stack.docker, *mended.split(), *ids], check=False, capture_output=True)
            print(f"fault: {self.name} is over", flush=True)
