"""The spans of a request: how its time is divided."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Spans:
    """A stopwatch with laps. Each lap counts for one span, so the spans add up to the whole duration.

    `seconds` has the spans by name, as in `Server-Timing` and in the metric imgsvc_request_span_duration_seconds.
    """

    __slots__ = ("_lap", "_started", "seconds")

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = self._lap = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._started

    def lap(self, name: str, **within: float) -> None:
        """End a lap. The seconds in `within` count for the spans named there, and the rest for `name`."""
        now = time.perf_counter()
        rest = now - self._lap - sum(within.values())
        self._lap = now
        for span, seconds in {name: rest, **within}.items():
            self.seconds[span] = self.seconds.get(span, 0.0) + max(0.0, seconds)

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """End a lap when the context ends, even if it fails."""
        try:
            yield
        finally:
            self.lap(name)

    def __str__(self) -> str:
        """The value of `Server-Timing`, in milliseconds."""
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in self.seconds.items())


_current: ContextVar[Spans] = ContextVar("spans")


def start(spans: Spans) -> None:
    """Make `spans` the spans of the current request."""
    _current.set(spans)


def current() -> Spans:
    """The spans of the current request, or new ones outside of a request."""
    return _current.get(None) or Spans()


def lap(name: str, **within: float) -> None:
    """End a lap of the current request; see Spans.lap."""
    current().lap(name, **within)


@contextmanager
def during(name: str) -> Iterator[None]:
    """End a lap of the current request when the context ends; see Spans.during."""
    with current().during(name):
        yield
