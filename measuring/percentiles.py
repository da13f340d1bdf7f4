"""Percentiles of latencies, from a list or from counts in buckets."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

_FINEST_MS = 0.1
_GROWTH = 1.03
"""From one bucket to the next: percentiles are accurate to 3 %, and a second needs a few dozen numbers."""

Buckets = Counter[int]
"""How many latencies each bucket has."""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed; NaN without values."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


def bucket(milliseconds: float) -> int:
    """The bucket of a latency."""
    return max(0, math.ceil(math.log(max(milliseconds, _FINEST_MS) / _FINEST_MS, _GROWTH)))


def upper_ms(number: int) -> float:
    """The longest latency of a bucket."""
    return _FINEST_MS * _GROWTH**number


def bucket_percentile(buckets: Mapping[int, int], share: float) -> float | None:
    """The latency in milliseconds that this share does not exceed; None without latencies."""
    wanted, seen = share * sum(buckets.values()), 0
    for number in sorted(buckets):
        seen += buckets[number]
        if seen >= wanted:
            return upper_ms(number)
    return None
