"""The quarantine: what crashed a worker process is refused until the service restarts."""

from collections.abc import Iterator
from contextlib import contextmanager

from cachetools import LRUCache

from service_kit.errors import ServiceError, UnprocessableImage

_CRASHES = 2
_REMEMBERED = 10_000
"""Keys are hashes of 64 characters, so this takes at most 4 MB."""


class Quarantined(UnprocessableImage):
    """The content, or the transformation, is in quarantine."""


class Quarantine:
    """Counts crashes by the hash of what the process was working on.

    An error counts if its attribute `crashed` is true. A process that was killed from outside does not count.
    """

    def __init__(self) -> None:
        self._crashes: LRUCache[str, int] = LRUCache(_REMEMBERED)

    def check(self, sha256: str, crashed: str = "this image crashed its decoder") -> None:
        """Raise Quarantined if this has crashed a worker twice. `crashed` begins the text of the error."""
        if self._crashes.get(sha256, 0) >= _CRASHES:
            raise Quarantined(f"{crashed} {_CRASHES} times and is refused until the service restarts")

    @contextmanager
    def watch(self, sha256: str, crashed: str = "this image crashed its decoder") -> Iterator[None]:
        """Work on this, and nothing else that could crash, inside the context. Raises the errors of `check`."""
        self.check(sha256, crashed)
        try:
            yield
        except ServiceError as error:
            if is_crash(error):
                self._crashes[sha256] = self._crashes.get(sha256, 0) + 1
            raise


def is_crash(error: ServiceError) -> bool:
    """Whether a worker process ended by its own fault."""
    return bool(getattr(error, "crashed", False))
