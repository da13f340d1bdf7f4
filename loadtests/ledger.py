"""The counts of a whole run, as a file and by span of time."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.tallies import HIT, MISS, STALE, Key, Summary, Tally, summary

LEDGER = "ledger.json"
"""Its file among a report's."""
PROBED, PROBE_MISSES, LATE = "hits", "misses of the probe", "locust itself"
"""Kinds that are no visitors': what probe.py asks for, where that was none, by how much locust's loop is late."""
NO_VISITORS = (PROBED, PROBE_MISSES, LATE)
ROLES = {"cached": (HIT, STALE), "missed": (MISS,)}
"""Answers of a group by what the cache did."""


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of a run with an equal number of users, from when it was stable, in seconds since the epoch."""

    users: int
    start: int
    end: int


@dataclass
class Ledger:
    """What came back in each second of a run."""

    tallies: dict[int, dict[Key, Tally]] = field(default_factory=dict)
    """By second."""
    users: dict[int, int] = field(default_factory=dict)
    """By second."""
    steps: list[Step] = field(default_factory=list)
    """Of a ramp."""
    failures: Counter[str] = field(default_factory=Counter)
    """What was wrong, with how many answers."""
    stopped_because: str = ""

    def tally(self, key: Key) -> Tally:
        """The counts of a key, to be added to."""
        return self.tallies.setdefault(key.second, {}).setdefault(key, Tally())

    @property
    def span(self) -> tuple[int, int]:
        """The first second with users, and the one after the last."""
        seconds = [second for second, users in self.users.items() if users]
        return (min(seconds), max(seconds) + 1) if seconds else (0, 0)

    def select(self, group: str, start: float, end: float) -> Iterator[tuple[Key, Tally]]:
        """Counts of `all` visitors, of a group as `viewers`, or of its cached or missed answers as `viewers.cached`."""
        name, _, role = group.partition(".")
        for second in range(math.ceil(start), math.ceil(end)):
            for key, tally in self.tallies.get(second, {}).items():
                groups = {key.name} if key.name in NO_VISITORS else {"all", key.name, key.name.partition(" ")[0]}
                if name in groups and (not role or key.cache in ROLES[role]):
                    yield key, tally

    def summary(self, group: str, start: float, end: float) -> Summary:
        """What a group was like from `start` until `end`."""
        return summary(self.select(group, start, end), end - start)

    def names(self) -> list[str]:
        """All kinds that were counted."""
        return sorted({key.name for keys in self.tallies.values() for key in keys})

    def packed(self) -> dict[str, Any]:
        """As JSON, and as what workers send."""
        rows = [
            [*key, tally.refused, tally.failed, tally.bytes, sorted(tally.latencies.items())]
            for keys in self.tallies.values()
            for key, tally in keys.items()
        ]
        return {"tallies": rows, "failures": list(self.failures.items())}

    def add(self, packed: dict[str, Any]) -> None:
        """Add what another process counted."""
        for second, name, cache, refused, failed, size, latencies in packed["tallies"]:
            counted = Tally(Counter({int(number): int(count) for number, count in latencies}), refused, failed, size)
            self.tally(Key(second, name, cache)).add(counted)
        self.failures.update(dict(packed["failures"]))

    def write(self, path: Path) -> None:
        """Keep all of it."""
        steps = [[step.users, step.start, step.end] for step in self.steps]
        rest = {"users": sorted(self.users.items()), "steps": steps, "stopped_because": self.stopped_because}
        path.write_text(json.dumps({**self.packed(), **rest}))


def read(path: Path) -> Ledger:
    """What was kept."""
    kept = json.loads(path.read_text())
    steps = [Step(*row) for row in kept["steps"]]
    ledger = Ledger(users=dict(kept["users"]), steps=steps, stopped_because=kept["stopped_because"])
    ledger.add(kept)
    return ledger
