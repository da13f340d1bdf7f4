"""Counts of answers by second, and what they say about a span of time: rates, percentiles, shares."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from measuring.percentiles import Buckets, bucket, bucket_percentile

LEDGER = "ledger.json"
"""The name of its file."""
HIT, STALE, MISS, NONE = "HIT", "STALE", "MISS", ""
"""`X-Cache` of answers. NONE: no cache is involved, as without Varnish, or for facts and refusals."""
PROBED, PROBE_MISSES, LATE = "hits", "misses of the probe", "locust itself"
"""Groups that are not visitors: the probe's hits, its misses, and the delay of locust's loop."""
NO_VISITORS = (PROBED, PROBE_MISSES, LATE)
ROLES = {"cached": (HIT, STALE), "missed": (MISS,)}
"""Parts of a group, by what the cache did."""


class Key(NamedTuple):
    """What answers are counted by."""

    second: int
    """When the answer was complete, since the epoch."""
    name: str
    """The group and the kind of request: `viewers thumb`."""
    cache: str


@dataclass(slots=True)
class Tally:
    """Answers of one key. Only right answers have latencies: fast refusals must not improve percentiles."""

    latencies: Buckets = field(default_factory=Counter)
    refused: int = 0
    failed: int = 0

    def note(self, milliseconds: float, count: int = 1) -> None:
        """Count right answers."""
        self.latencies[bucket(milliseconds)] += count

    def add(self, other: "Tally") -> None:
        """Add the counts of another tally."""
        self.latencies.update(other.latencies)
        self.refused += other.refused
        self.failed += other.failed


@dataclass(frozen=True, slots=True)
class Summary:
    """What a span of time was like. Latencies are None without right answers."""

    seconds: float
    requests: int
    goodput: float
    """Right answers per second."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    error_share: float
    refused_share: float
    hit_ratio: float | None
    """The share of HIT and STALE; None if no right answer has X-Cache."""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a ramp with a constant number of users, in seconds since the epoch."""

    users: int
    start: int
    end: int


@dataclass
class Ledger:
    """All answers of a run, by second and key."""

    tallies: dict[int, dict[Key, Tally]] = field(default_factory=dict)
    users: dict[int, int] = field(default_factory=dict)
    """By second."""
    steps: list[Step] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    """What was wrong, and in how many answers."""
    stopped_because: str = ""

    def tally(self, key: Key) -> Tally:
        """The counts of a key, to be added to."""
        return self.tallies.setdefault(key.second, {}).setdefault(key, Tally())

    @property
    def span(self) -> tuple[int, int]:
        """The first second with users, and the second after the last one."""
        seconds = [second for second, users in self.users.items() if users]
        return (min(seconds), max(seconds) + 1) if seconds else (0, 0)

    def _select(self, group: str, start: float, end: float) -> Iterator[tuple[str, Tally]]:
        """Counts by X-Cache of `all` visitors, a group such as `viewers`, or a part of it such as `viewers.cached`."""
        name, _, role = group.partition(".")
        for second in range(math.ceil(start), math.ceil(end)):
            for key, tally in self.tallies.get(second, {}).items():
                groups = {key.name} if key.name in NO_VISITORS else {"all", key.name, key.name.partition(" ")[0]}
                if name in groups and (not role or key.cache in ROLES[role]):
                    yield key.cache, tally

    def summary(self, group: str, start: float, end: float) -> Summary:
        """What a group was like from `start` until `end`."""
        whole, caches, seconds = Tally(), Counter[str](), end - start
        for cache, tally in self._select(group, start, end):
            whole.add(tally)
            caches[cache] += tally.latencies.total()
        good, hits = whole.latencies.total(), caches[HIT] + caches[STALE]
        requests, told = good + whole.refused + whole.failed, hits + caches[MISS]
        p50, p95, p99 = (bucket_percentile(whole.latencies, share) for share in (0.50, 0.95, 0.99))
        return Summary(
            seconds,
            requests,
            good / seconds if seconds else 0.0,
            p50,
            p95,
            p99,
            whole.failed / max(1, requests),
            whole.refused / max(1, requests),
            hits / told if told else None,
        )

    def names(self) -> list[str]:
        """All names that were counted."""
        return sorted({key.name for keys in self.tallies.values() for key in keys})

    def packed(self) -> dict[str, Any]:
        """The counts, for JSON and for locust's messages."""
        rows = [
            [*key, tally.refused, tally.failed, sorted(tally.latencies.items())]
            for keys in self.tallies.values()
            for key, tally in keys.items()
        ]
        return {"tallies": rows, "failures": list(self.failures.items())}

    def add(self, packed: dict[str, Any]) -> None:
        """Add the counts of another process."""
        for second, name, cache, refused, failed, latencies in packed["tallies"]:
            counted = Counter({int(number): int(count) for number, count in latencies})
            self.tally(Key(second, name, cache)).add(Tally(counted, refused, failed))
        self.failures.update(dict(packed["failures"]))

    def write(self, path: Path) -> None:
        """Write everything into a file."""
        steps = [[step.users, step.start, step.end] for step in self.steps]
        rest = {"users": sorted(self.users.items()), "steps": steps, "stopped_because": self.stopped_because}
        path.write_text(json.dumps({**self.packed(), **rest}))


def read(path: Path) -> Ledger:
    """Read such a file."""
    kept = json.loads(path.read_text())
    steps = [Step(*row) for row in kept["steps"]]
    ledger = Ledger(users=dict(kept["users"]), steps=steps, stopped_because=kept["stopped_because"])
    ledger.add(kept)
    return ledger
