"""Deliberate faults, to see which thresholds notice them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loadtests import slow_disk
from loadtests.stack import Stack


class NoFault(Exception):
    """The fault did not happen."""


def _docker(command: str, service: str) -> Callable[[Stack], object]:
    return lambda stack: stack.run(*command.split(), *stack.ids(service))


_FAULTS: dict[str, tuple[Callable[[Stack], object], Callable[[Stack], object]]] = {
    "stop-redis": (_docker("stop -t 1", "redis"), _docker("start", "redis")),
    "slow-disk": (slow_disk.slow, slow_disk.mend),
    **{
        f"pause-{service}": (_docker("pause", service), _docker("unpause", service))
        for service in ("redis", "postgres", "transform")
    },
}
"""How to make and how to mend each."""
NAMES = tuple(_FAULTS)


@dataclass(slots=True)
class Fault:
    """A part that breaks and is mended."""

    name: str
    after: float
    """Seconds after the start of locust."""
    seconds: float
    failed: str = ""
    """Why the fault did not happen."""

    @contextmanager
    def happening(self, stack: Stack) -> Iterator[None]:
        """Break and mend the part; at the end it is mended in any case."""
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
            self.failed = "the run ended first"
            return
        print(f"fault: {self.name}", flush=True)
        if self._done(make, stack):
            over.wait(self.seconds)
        if self._done(mend, stack):  # also after a failure, which may have left half of it
            print(f"fault: {self.name} is over", flush=True)

    def _done(self, step: Callable[[Stack], object], stack: Stack) -> bool:
        """Whether a step worked. The first failure is why the fault failed."""
        try:
            step(stack)
        except Exception as error:  # noqa: BLE001  # the thread would end unnoticed
            printed = getattr(error, "stderr", None) or ""
            self.failed = self.failed or " ".join(printed.split()) or str(error) or type(error).__name__
            return False
        return True
