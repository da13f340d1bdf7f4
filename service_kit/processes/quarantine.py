"""The quarantine: contents that crashed a worker process are refused until the service restarts."""

from collections.abc import Iterator
from contextlib import contextmanager

from cachetools import LRUCache

from service_kit.errors import UnprocessableImage
from service_kit.processes.worker import WorkerDied

_CRASHES = 2
_REMEMBERED = 10_000


class Quarantined(UnprocessableImage):
    """The content is in quarantine."""


class Quarantine:
    """Counts crashes by content. A process that was killed from outside does not count."""

    def __init__(self) -> None:
        self._crashes: LRUCache[str, int] = LRUCache(_REMEMBERED)

    @contextmanager
    def watch(self, sha256: str) -> Iterator[None]:
        """Process this content inside the context. Raises Quarantined if it has crashed a worker twice."""
        if self._crashes.get(sha256, 0) >= _CRASHES:
            raise Quarantined(
                f"this image crashed its decoder {_CRASHES} times and is refused until the service restarts"
            )
        try:
            yield
        except WorkerDied as error:
            if error.crashed:
                self._crashes[sha256] = self._crashes.get(sha256, 0) + 1
            raise
