"""Counts of answers by second, and what can be told from them: rates, percentiles, shares."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

_FINEST_MS = 0.1
_GROWTH = 1.03
"""From one bucket of latencies to the next: percentiles are true to 3 %, and a second fits into some dozen numbers."""
HIT, STALE, MISS, NONE = "HIT", "STALE", "MISS", ""
"""`X-Cache` of answers; NONE where a cache has no part: no Varnish, a form that is posted, facts, a refusal."""


class Key(NamedTuple):
    """What answers are counted by."""

    second: int
    """Since the epoch, in which the answer was complete."""
    name: str
    """`viewers thumb`: the group, and the kind of request."""
    cache: str


def bucket(milliseconds: float) -> int:
    """The number of the bucket that a latency belongs to."""
    return max(0, math.ceil(math.log(max(milliseconds, _FINEST_MS) / _FINEST_MS, _GROWTH)))


def upper_ms(number: int) -> float:
    """The longest latency of a bucket."""
    return _FINEST_MS * _GROWTH**number


@dataclass(slots=True)
class Tally:
    """Answers of one kind. Latencies are those of good answers alone: a quick refusal makes nothing faster."""

    latencies: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    """429, and 503 with Retry-After: said cleanly that it is too much."""
    failed: int = 0
    bytes: int = 0

    @property
    def good(self) -> int:
        """Right answers."""
        return self.latencies.total()

    @property
    def total(self) -> int:
        """All answers, and requests without one."""
        return self.good + self.refused + self.failed

    def add(self, other: "Tally") -> None:
        """Count what the other counted."""
        self.latencies.update(other.latencies)
        self.refused += other.refused
        self.failed += other.failed
        self.bytes += other.bytes

    def percentile(self, share: float) -> float | None:
        """The latency in milliseconds that `share` of the good answers do not exceed; None without answers."""
        wanted, seen = share * self.good, 0
        for number in sorted(self.latencies):
            seen += self.latencies[number]
            if seen >= wanted:
                return upper_ms(number)
        return None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a span of time was like."""

    seconds: float
    requests: int
    goodput: float
    """Right answers a second."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    error_share: float
    refused_share: float
    hit_ratio: float | None
    """HIT and STALE of the right answers that say what the cache did; None where none says so."""
    megabytes: float


def summary(counted: Iterable[tuple[Key, Tally]], seconds: float) -> Summary:
    """Of all these counts together."""
    whole, caches = Tally(), Counter[str]()
    for key, tally in counted:
        whole.add(tally)
        caches[key.cache] += tally.good
    told = caches[HIT] + caches[STALE] + caches[MISS]
    return Summary(
        seconds=seconds,
        requests=whole.total,
        goodput=whole.good / seconds if seconds else 0.0,
        p50_ms=whole.percentile(0.50),
        p95_ms=whole.percentile(0.95),
        p99_ms=whole.percentile(0.99),
        error_share=whole.failed / whole.total if whole.total else 0.0,
        refused_share=whole.refused / whole.total if whole.total else 0.0,
        hit_ratio=(caches[HIT] + caches[STALE]) / told if told else None,
        megabytes=whole.bytes / 1e6,
    )
