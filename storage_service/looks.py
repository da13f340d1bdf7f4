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
_MOST_CANDIDATES = 2000
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

    async def keep(self, sha256: str, look: Look) -> None:
        """Keep the look of a content, if an image has it."""
        async with self._metadata.lock_content(sha256) as content:
            if await content.is_used():
                await self._metadata.change(
                    _PUT, sha256, look.colour, look.colours, look.thumbhash, look.phash, *_bands(look.phash)
                )

    async def forget(self, sha256: str) -> None:
        """Remove the look of a content."""
        await self._metadata.change("DELETE FROM looks WHERE sha256 = $1", sha256)

    async def similar(self, record: ImageRecord, space: str | None, limit: int) -> list[Similar]:
        """Images that look like this one, most similar first; of this space only, unless it is None."""
        own = (await self.of([record])).get(record.sha256)
        if own is None:
            return []
        distances = await self._near(own.phash)
        nearest = sorted(distances, key=lambda sha256: distances[sha256])[: limit + 1]
        found = [
            Similar(each, distances[each.sha256])
            for each in await self._images(nearest, space, limit + 1)
            if each.image_id != record.image_id
        ]
        return sorted(found, key=lambda each: (each.distance, each.record.image_id))[:limit]

    async def _near(self, phash: int) -> dict[str, int]:
        """Contents whose hash differs in few bits, and in how many."""
        conditions, values = [], list[object]()
        for number, band in enumerate(_bands(phash)):
            near = [band, *(band ^ 1 << bit for bit in range(_BITS))]
            conditions.append(f"band_{number} IN ({_places(len(near), len(values))})")
            values += near
        # Each with the index of its band.
        parts = " UNION ".join(f"SELECT sha256, phash FROM looks WHERE {each}" for each in conditions)  # noqa: S608
        query = f"SELECT sha256, phash FROM ({parts}) AS near LIMIT {_MOST_CANDIDATES}"  # noqa: S608
        rows = await self._metadata.fetch(query, *values)
        found = {row[0]: ((row[1] ^ phash) & (1 << _BANDS * _BITS) - 1).bit_count() for row in rows}
        return {sha256: distance for sha256, distance in found.items() if distance <= MOST_DIFFERENT}

    async def _images(self, contents: Sequence[str], space: str | None, limit: int) -> list[ImageRecord]:
        places = len(contents)
        query = f"""
            SELECT {", ".join(COLUMNS)} FROM images WHERE sha256 IN ({_places(places)}) AND deleted_at IS NULL
            AND (${places + 1} = '' OR space = ${places + 1}) AND (expires_at IS NULL OR expires_at > ${places + 2})
            LIMIT {limit * 4}
        """  # noqa: S608
        rows = await self._metadata.fetch(query, *contents, space or "", datetime.now(UTC))
        return [ImageRecord.model_validate(dict(zip(COLUMNS, row, strict=True))) for row in rows]


def _bands(phash: int) -> list[int]:
    return [phash >> number * _BITS & _MASK for number in range(_BANDS)]


def _places(number: int, after: int = 0) -> str:
    return ", ".join(f"${place}" for place in range(after + 1, after + number + 1))
