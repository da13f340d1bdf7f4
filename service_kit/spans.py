"""What the seconds of one request were spent on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web


class Spans:
    """A watch with laps: each lap belongs to one span, so that together they are the whole duration.

    Seconds, by the names of `Server-Timing` and of the metric imgsvc_request_span_duration_seconds.
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
        """End a lap. What it had `within`, in seconds, belongs to those spans, the rest to `name`."""
        now = time.perf_counter()
        rest = now - self._lap - sum(within.values())
        self._lap = now
        for span, seconds in {name: rest, **within}.items():
            self.seconds[span] = self.seconds.get(span, 0.0) + max(0.0, seconds)

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """A lap that ends with the context, whether it succeeds or not."""
        try:
            yield
        finally:
            self.lap(name)

    def __str__(self) -> str:
        """As the value of `Server-Timing`, in milliseconds."""
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in self.seconds.items())


_SPANS = web.RequestKey("SPANS", Spans)


def spans_of(request: web.BaseRequest) -> Spans:
    """The watch of a request; it starts when it is first asked for."""
    spans = request.get(_SPANS)
    if spans is None:
        spans = request[_SPANS] = Spans()
    return spans
