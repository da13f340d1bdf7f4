"""What viewers request, by hour: chains with their outcomes, and images. Bounded in rows and in time.

Each hour has at most _MOST chains and _MOST images. Half of the places are for whatever comes first, and the other half
for what is requested often within one batch, so that rare chains cannot take them all. The rest is counted together.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from service_kit.usage import NO_IMAGE, OTHER, Outcome, UsageBatch
from storage_service.metadata.base import MetadataStore

_MOST, _OFTEN = 1000, 5
MOST_HOURS = 90 * 24
_ROWS_AT_ONCE = 100
_REMEMBERED_HOURS = 48
_RENDERED_HOURS, _RENDERED_SECONDS = 30 * 24, 600.0
_SECONDS = 3600
_RENDERED = (Outcome.LEVEL, Outcome.RENDER)
_NOTE_BATCH = "INSERT INTO usage_batches (id, hour) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING"
_ADD_CHAINS = """
    INSERT INTO usage_chains AS old (hour, chain, outcome, requests, milliseconds, bytes) VALUES {}
    ON CONFLICT (hour, chain, outcome) DO UPDATE SET requests = old.requests + excluded.requests,
        milliseconds = old.milliseconds + excluded.milliseconds, bytes = old.bytes + excluded.bytes
"""
_ADD_IMAGES = """
    INSERT INTO usage_images AS old (hour, image_id, requests) VALUES {}
    ON CONFLICT (hour, image_id) DO UPDATE SET requests = old.requests + excluded.requests
"""
_CHAINS = """
    SELECT chain, outcome, sum(requests), sum(milliseconds), sum(bytes) FROM usage_chains WHERE hour > $1
    GROUP BY chain, outcome
"""
_IMAGES = """
    SELECT image_id, sum(requests) FROM usage_images WHERE hour > $1 AND image_id <> ''
    GROUP BY image_id ORDER BY sum(requests) DESC, image_id LIMIT $2
"""
_RENDERED_ROWS = """
    SELECT chain, sum(CASE WHEN outcome <> $4 THEN requests ELSE 0 END), sum(milliseconds),
        sum(CASE WHEN outcome <> $4 THEN bytes ELSE 0 END), sum(requests)
    FROM usage_chains WHERE hour > $1 AND (outcome = $2 OR outcome = $3 OR outcome = $4) GROUP BY chain
"""
_SITE = """
    SELECT count(*), sum(CASE WHEN created_at > $1 THEN 1 ELSE 0 END) FROM images WHERE deleted_at IS NULL
"""
_FORGET_UNUSED = """
    DELETE FROM usage_images WHERE hour > $1 AND image_id <> '' AND NOT EXISTS (
        SELECT 1 FROM images WHERE images.image_id = usage_images.image_id AND deleted_at IS NULL
    )
"""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a render of a chain took."""

    seconds: float
    bytes: float
    share: float
    """How many of the requests that Varnish did not answer were rendered. The result cache had the others."""


@dataclass(slots=True)
class ChainUsage:
    """Requests for a chain: how many with which outcome, the seconds of their renders, and bytes that were sent."""

    chain: str
    outcomes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    bytes: int = 0

    @property
    def requests(self) -> int:
        """All requests."""
        return sum(self.outcomes.values())

    @property
    def renders(self) -> int:
        """Requests that were rendered, from a level or the original."""
        return sum(self.outcomes.get(outcome, 0) for outcome in _RENDERED)

    @property
    def hit_ratio(self) -> float:
        """The share of requests that Varnish answered."""
        return self.outcomes.get(Outcome.HIT, 0) / self.requests if self.requests else 0.0


class Usage:
    """Counts and reports."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._metadata = metadata
        self._rendered: Mapping[str, Rendered] = {}
        self._rendered_from = 0.0

    async def add(self, batch: UsageBatch) -> None:
        """Add a batch to the hour that it is now, unless it was added before."""
        hour = _hour()
        # First: a crash in between loses ten seconds, and does not count them twice.
        if not await self._metadata.change(_NOTE_BATCH, batch.id, hour):
            return
        await self._add_chains(hour, batch)
        await self._add_images(hour, batch)

    async def _add_chains(self, hour: int, batch: UsageBatch) -> None:
        numbers: defaultdict[str, int] = defaultdict(int)
        for row in batch.chains:
            numbers[row.chain] += row.requests
        rows = await self._metadata.fetch("SELECT DISTINCT chain FROM usage_chains WHERE hour = $1", hour)
        kept = _kept(numbers, {row[0] for row in rows})
        sums: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0.0, 0])
        for row in batch.chains:
            added = sums[row.chain if row.chain in kept else OTHER, row.outcome]
            for place, number in enumerate((row.requests, row.milliseconds, row.bytes)):
                added[place] += number
        await self._insert(_ADD_CHAINS, [(hour, *key, int(n), ms, int(size)) for key, (n, ms, size) in sums.items()])

    async def _add_images(self, hour: int, batch: UsageBatch) -> None:
        numbers: defaultdict[str, int] = defaultdict(int)
        for row in batch.images:
            numbers[row.image_id] += row.requests
        rows = await self._metadata.fetch("SELECT image_id FROM usage_images WHERE hour = $1", hour)
        kept = await self._living(_kept(numbers, {row[0] for row in rows}))
        sums: defaultdict[str, int] = defaultdict(int)
        for image_id, number in numbers.items():
            sums[image_id if image_id in kept else NO_IMAGE] += number
        await self._insert(_ADD_IMAGES, [(hour, image_id, number) for image_id, number in sums.items()])

    async def _living(self, image_ids: Collection[str]) -> set[str]:
        """Those that were not deleted: an image leaves nothing behind, not even a number that comes late."""
        living: set[str] = set()
        for part in _parts(sorted(image_ids)):
            marks = ", ".join(f"${n + 1}" for n in range(len(part)))
            query = f"SELECT image_id FROM images WHERE deleted_at IS NULL AND image_id IN ({marks})"  # noqa: S608
            living |= {row[0] for row in await self._metadata.fetch(query, *part)}
        return living

    async def _insert(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Add rows, always in the same order: two processes may add the same ones at once."""
        for part in _parts(sorted(rows, key=lambda row: [str(value) for value in row[:3]])):
            columns = len(part[0])
            places = (", ".join(f"${n * columns + m + 1}" for m in range(columns)) for n in range(len(part)))
            values = ", ".join(f"({each})" for each in places)
            await self._metadata.change(statement.format(values), *(value for row in part for value in row))

    async def chains(self, hours: int) -> list[ChainUsage]:
        """What was requested in the last hours (this one is the first), most requested first."""
        found: dict[str, ChainUsage] = {}
        for chain, outcome, requests, milliseconds, size in await self._metadata.fetch(_CHAINS, _hour() - hours):
            usage = found.setdefault(chain, ChainUsage(chain))
            usage.outcomes[outcome] = int(requests)
            usage.seconds += float(milliseconds) / 1000
            usage.bytes += int(size)
        return sorted(found.values(), key=lambda usage: (-usage.requests, usage.chain))

    async def rendered(self) -> Mapping[str, Rendered]:
        """What renders of each chain took on average in the last month, when they were needed. Ten minutes old."""
        if not self._rendered_from <= _now() < self._rendered_from + _RENDERED_SECONDS:
            rows = await self._metadata.fetch(_RENDERED_ROWS, _hour() - _RENDERED_HOURS, *_RENDERED, Outcome.RESULT)
            numbers = [(row[0], *map(float, row[1:])) for row in rows if row[1]]
            self._rendered = {
                chain: Rendered(milliseconds / 1000 / renders, size / renders, renders / requests)
                for chain, renders, milliseconds, size, requests in numbers
            }
            self._rendered_from = _now()
        return self._rendered

    async def days(self, hours: int) -> float:
        """How many days the last `hours` are, at least an hour.

        This one has only begun, and before the first one nothing was counted.
        """
        ((first,),) = await self._metadata.fetch("SELECT min(hour) FROM usage_chains")
        whole = min(hours - 1, _hour() - first) if first is not None else 0
        return max(_SECONDS, whole * _SECONDS + _now() % _SECONDS) / (24 * _SECONDS)

    async def site(self) -> tuple[int, int]:
        """The number of images, and of those that were uploaded in the last 24 hours."""
        since = datetime.now(UTC) - timedelta(days=1)
        ((images, new),) = await self._metadata.fetch(_SITE, since)
        return int(images), int(new or 0)

    async def images(self, hours: int, limit: int) -> list[tuple[str, int]]:
        """The IDs of the most requested images, and how often they were requested."""
        rows = await self._metadata.fetch(_IMAGES, _hour() - hours, limit)
        return [(image_id, int(requests)) for image_id, requests in rows]

    async def forget(self, image_id: str) -> None:
        """Remove an image, since it was deleted."""
        await self._metadata.change("DELETE FROM usage_images WHERE image_id = $1", image_id)

    async def sweep(self) -> None:
        """Remove what is too old, and images that were deleted."""
        for table in ("usage_chains", "usage_images"):
            await self._metadata.change(f"DELETE FROM {table} WHERE hour <= $1", _hour() - MOST_HOURS)  # noqa: S608
        await self._metadata.change("DELETE FROM usage_batches WHERE hour <= $1", _hour() - _REMEMBERED_HOURS)
        # A deletion removes its counts; what came late was counted soon after.
        await self._metadata.change(_FORGET_UNUSED, _hour() - _REMEMBERED_HOURS)


def _kept(numbers: Mapping[str, int], known: Collection[str]) -> set[str]:
    """Those of a batch, with how often it has each, that are counted by themselves."""
    kept = {name for name in numbers if name in known}
    places = _MOST - len(known)
    for name, number in sorted(numbers.items(), key=lambda item: (-item[1], item[0])):
        if name not in kept and places > 0 and (number >= _OFTEN or places > _MOST // 2):
            kept.add(name)
            places -= 1
    return kept


Row = TypeVar("Row")


def _parts(rows: Sequence[Row]) -> Iterable[Sequence[Row]]:
    return (rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE))


def _hour() -> int:
    return int(_now()) // _SECONDS


def _now() -> float:
    return time.time()
