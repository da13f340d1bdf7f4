"""Faults that are made on purpose, to see which thresholds notice."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loadtests import slow_disk
from loadtests.stack import Stack


class NoFault(Exception):
    """The fault was not there in its run."""


def _told(command: str, service: str) -> Callable[[Stack], object]:
    return lambda stack: stack.run(*command.split(), *stack.ids(service))


_FAULTS: dict[str, tuple[Callable[[Stack], object], Callable[[Stack], object]]] = {
    "stop-redis": (_told("stop -t 1", "redis"), _told("start", "redis")),
    "pause-redis": (_told("pause", "redis"), _told("unpause", "redis")),
    "pause-postgres": (_told("pause", "postgres"), _told("unpause", "postgres")),
    "pause-transform": (_told("pause", "transform"), _told("unpause", "transform")),
    "slow-disk": (slow_disk.slow, slow_disk.mend),
}
"""What makes it, and what mends it."""
NAMES = tuple(_FAULTS)


@dataclass(slots=True)
class Fault:
    """Something that breaks, and is mended."""

    name: str
    after: float
    """Seconds after locust was started."""
    seconds: float
    failed: str = ""
    """Why it could not be made: then its run says nothing of it."""

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
        make, mend = _FAULTS[self.name]
        if over.wait(self.after):
            self.failed = "the run was over before it"
            return
        print(f"fault: {self.name}", flush=True)
        if self._done(make, stack):
            over.wait(self.seconds)
        if self._done(mend, stack):  # of one that failed, too: it may have been made by half
            print(f"fault: {self.name} is over", flush=True)

    def _done(self, step: Callable[[Stack], object], stack: Stack) -> bool:
        """Whether a step was possible; the first that was not is why the fault failed."""
        try:
            step(stack)
        except Exception as error:  # noqa: BLE001  # the thread's end: what is not noted here, nobody sees
            printed = getattr(error, "stderr", None) or ""
            self.failed = self.failed or " ".join(printed.split()) or str(error) or type(error).__name__
            return False
        return True
