"""What images look like: kept by content, shown in lists, and compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from imaging.looks import Look
from storage_service.metadata.base import COLUMNS, ImageRecord, MetadataStore

MOST_DIFFERENT = 7
"""Bits of the perceptual hash in which similar images differ at most. One of four bands then differs in one bit only,
so that the index finds all."""
_BANDS, _BITS = 4, 16
_MASK = (1 << _BITS) - 1
_MOST_CANDIDATES = 500
"""Images with a band like that. Of more, some are left out."""
_ALL = (1 << _BANDS * _BITS) - 1
_COLUMNS = ", ".join(f"images.{name}" for name in COLUMNS)
_PUT = """
    INSERT INTO looks (sha256, colour, colours, thumbhash, phash, band_0, band_1, band_2, band_3)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (sha256) DO UPDATE SET colour = excluded.colour, colours = excluded.colours,
    thumbhash = excluded.thumbhash, phash = excluded.phash, band_0 = excluded.band_0, band_1 = excluded.band_1,
    band_2 = excluded.band_2, band_3 = excluded.band_3
"""


@dataclass(frozen=True, slots=True)
class Similar:
    """An image that looks similar to another one, and in how many bits of their hashes they differ."""

    record: ImageRecord
    distance: int


class Looks:
    """The looks of all contents that a job has looked at."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._metadata = metadata

    async def of(self, records: Sequence[ImageRecord]) -> Mapping[str, Look]:
        """The looks of images, by content. Those that nobody has looked at are missing."""
        contents = sorted({record.sha256 for record in records})
        if not contents:
            return {}
        query = (
            f"SELECT sha256, colour, colours, thumbhash, phash FROM looks WHERE sha256 IN ({_places(len(contents))})"  # noqa: S608
        )
        return {
            row[0]: Look(colour=row[1], colours=row[2], thumbhash=row[3], phash=row[4])
            for row in await self._metadata.fetch(query, *contents)
        }

    async def missing(self, contents: Sequence[str]) -> list[str]:
        """Those of some contents that nobody has looked at, and that no job is for, not even one that has failed."""
        if not contents:
            return []
        marks = _places(len(contents))
        parts = [f"SELECT sha256 FROM {table} WHERE sha256 IN ({marks})" for table in ("looks", "jobs")]  # noqa: S608
        known = {row[0] for row in await self._metadata.fetch(" UNION ".join(parts), *contents)}
        return [sha256 for sha256 in contents if sha256 not in known]

    async def keep(self, sha256: str, look: Look) -> None:
        """Keep the look of a content, if an image has it."""
        bands = [None] * _BANDS if look.phash is None else _bands(look.phash)
        async with self._metadata.lock_content(sha256) as content:
            if await content.is_used():
                await self._metadata.change(_PUT, sha256, look.colour, look.colours, look.thumbhash, look.phash, *bands)

    async def forget(self, sha256: str) -> None:
        """Remove the look of a content."""
        await self._metadata.change("DELETE FROM looks WHERE sha256 = $1", sha256)

    async def similar(self, record: ImageRecord, space: str | None, limit: int) -> list[Similar]:
        """Images that look like this one, most similar first; of this space only, unless it is None."""
        own = (await self.of([record])).get(record.sha256)
        if own is None or own.phash is None:
            return []
        values: list[object] = [record.image_id, datetime.now(UTC)]
        where = "images.image_id <> $1 AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > $2)"
        if space is not None:
            values.append(space)
            where += " AND space = $3"
        found: dict[str, Similar] = {}
        for row in await self._metadata.fetch(_near(own.phash, where, values), *values):
            each = ImageRecord.model_validate(dict(zip(COLUMNS, row[1:], strict=True)))
            distance = ((row[0] ^ own.phash) & _ALL).bit_count()
            if distance <= MOST_DIFFERENT:
                found[each.image_id] = Similar(each, distance)
        return sorted(found.values(), key=lambda each: (each.distance, each.record.image_id))[:limit]


def _near(phash: int, where: str, values: list[object]) -> str:
    """The query for hashes and images of which one band differs in one bit at most. Adds its values to `values`."""
    parts = []
    for number, band in enumerate(_bands(phash)):
        near = [band, *(band ^ 1 << bit for bit in range(_BITS))]
        bands = f"band_{number} IN ({_places(len(near), len(values))})"
        values += near
        # Each with the index of its band, and a limit of its own.
        part = (
            f"SELECT phash, {_COLUMNS} FROM looks JOIN images ON images.sha256 = looks.sha256 WHERE {bands} AND {where}"  # noqa: S608
        )
        parts.append(f"SELECT * FROM ({part} LIMIT {_MOST_CANDIDATES}) AS of_{number}")  # noqa: S608
    return " UNION ALL ".join(parts)


def _bands(phash: int) -> list[int]:
    return [phash >> number * _BITS & _MASK for number in range(_BANDS)]


def _places(number: int, after: int = 0) -> str:
    return ", ".join(f"${place}" for place in range(after + 1, after + number + 1))
