"""The latencies of one system for one file."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """Requests of one client."""

    system: str
    kind: str
    """Of file."""
    megapixels: int
    ms: Sequence[float]
    """Of each request, in milliseconds."""

    @property
    def median(self) -> float:
        """In milliseconds."""
        return statistics.median(self.ms)

    def __str__(self) -> str:
        spread = f"{min(self.ms):.1f} to {max(self.ms):.1f}"
        return f"{self.kind:17}{self.megapixels:4} MP  {self.system:16}{self.median:8.1f} ms  ({spread})"
