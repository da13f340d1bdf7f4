"""Images that crashed their decoder: refused without another try, until the service restarts."""

from collections.abc import Iterator
from contextlib import contextmanager

from cachetools import LRUCache

from service_kit.errors import UnprocessableImage
from service_kit.worker import WorkerDied

_CRASHES = 2
_REMEMBERED = 10_000


class Quarantined(UnprocessableImage):
    """Refused without a try, as long as this process lives."""


class Quarantine:
    """Counts crashes by content. A process that was killed from outside is no crash of the image's making."""

    def __init__(self) -> None:
        self._crashes: LRUCache[str, int] = LRUCache(_REMEMBERED)

    @contextmanager
    def watch(self, sha256: str) -> Iterator[None]:
        """Work on the image with this content inside; Quarantined if it crashed twice already."""
        if self._crashes.get(sha256, 0) >= _CRASHES:
            raise Quarantined(f"this image crashed its decoder {_CRASHES} times; it is not tried again")
        try:
            yield
        except WorkerDied as error:
            if error.crashed:
                self._crashes[sha256] = self._crashes.get(sha256, 0) + 1
            raise
