"""Levels in the blob store: smaller copies of contents, limited in bytes, least used out first (docs/adr/0067).

Losing a level costs time only. So the transform service decides which levels there are, and nobody waits for one.
"""

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from imaging.header import Header
from imaging.levels import SIDES, VERSION, Level, format_of, sizes
from service_kit.errors import BadRequest, Gone, InsufficientStorage, ServiceError
from service_kit.spool import Spooled
from service_kit.threads import in_thread
from storage_service.blobs import Blobs
from storage_service.jobs import job_for_upload
from storage_service.metadata.base import ImageRecord, MetadataStore
from storage_service.metrics import LEVEL_BYTES, LEVEL_LIMIT

_URL_LIFETIME = timedelta(minutes=10)
_USED_SECONDS = 3600
"""How exactly the last use of a level is known."""
_LOOK_SECONDS, _COUNTED_EVERY = 60.0, 10
"""Seconds between two looks at the disk, and after how many of them levels are counted."""
_SLACK = 1 / 16
"""The share of the limit that is free after an eviction, and that is added before the levels are counted again: other
processes may have added some."""
_LEAST_FREE, _LEAST_FREE_SHARE = 1024**3, 1 / 20
"""Levels give way as long as less is free on the disk: a GiB, or a twentieth of a small disk."""
_KEEPING = 2
"""Levels that a process stores at once: each holds a connection that uploads need, too."""
_BATCH = 200
_OF = "SELECT side, bytes, digest, header, used_at FROM levels WHERE sha256 = $1 AND version = $2 ORDER BY side"
_KEEP = """
    INSERT INTO levels (sha256, side, version, bytes, digest, header, used_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (sha256, side) DO UPDATE SET version = excluded.version, bytes = excluded.bytes,
        digest = excluded.digest, header = excluded.header, used_at = excluded.used_at
"""
_REMOVE = "DELETE FROM levels WHERE sha256 = $1 AND side = $2"
_OLDEST = """
    SELECT sha256, side, bytes FROM levels ORDER BY CASE WHEN version = $1 THEN 1 ELSE 0 END, used_at, sha256, side
    LIMIT $2
"""

_FORGET_UNUSED = """
    DELETE FROM levels WHERE NOT EXISTS (
        SELECT 1 FROM images WHERE images.sha256 = levels.sha256 AND deleted_at IS NULL
    )
"""

logger = logging.getLogger(__name__)


class Levels:
    """The levels of all contents, of at most `limit` bytes. 0: there are none, and earlier ones are removed."""

    def __init__(self, metadata: MetadataStore, blobs: Blobs, limit: int) -> None:
        self._metadata = metadata
        self._limit = limit if blobs.can_be_read else 0
        self._blobs = {side: blobs.below(f"levels/{side}") for side in SIDES}
        self._folder = blobs.spool_folder if blobs.in_files else None
        self._keeping = asyncio.Semaphore(_KEEPING)
        self._added = 0
        """The bytes that this process has added since it counted all."""
        self._wake = asyncio.Event()
        LEVEL_LIMIT.set(self._limit)

    def job_for(self, sha256: str, header: Header) -> tuple[object, ...] | None:
        """The statement that adds the job for an upload, with its values; None if it gets no levels."""
        return job_for_upload(sha256) if self._limit and sizes(header) else None

    async def of(self, record: ImageRecord) -> tuple[Level, ...] | None:
        """The levels of an image; None if none are kept."""
        if not self._limit:
            return None
        if not sizes(record.header):
            return ()
        rows = await self._metadata.fetch(_OF, record.sha256, VERSION)
        now = int(time.time())
        if any(now - used_at > _USED_SECONDS for *_, used_at in rows):
            with contextlib.suppress(ServiceError):  # such as a full disk, on which images can still be read
                await self._metadata.change("UPDATE levels SET used_at = $2 WHERE sha256 = $1", record.sha256, now)
        return tuple([await self._level(record.sha256, row) for row in rows if row[0] in self._blobs])

    async def _level(self, sha256: str, row: Sequence[Any]) -> Level:
        side, size, digest, header, _ = row
        blobs = self._blobs[side]
        path = blobs.path(sha256)
        return Level(
            side=side,
            header=Header.model_validate_json(header),
            bytes=size,
            sha256=digest,
            path=path,
            url=None if path else await blobs.presigned_url(sha256, _URL_LIFETIME),
        )

    async def keep(self, record: ImageRecord, side: int, upload: Spooled, header: Header) -> None:
        """Store a level of an image. `header` is its own.

        Raises BadRequest if the file is not that level, Gone if the image has been deleted, and InsufficientStorage if
        storage is full.
        """
        if not self._limit:
            raise BadRequest(
                "this service keeps no levels: LEVEL_BYTES is 0, or BLOB_URL has no files and no signed URLs"
            )
        _check(record, side, header)
        if upload.bytes > self._limit or await in_thread(self._is_low):
            raise InsufficientStorage("the disk is almost full; the level was not stored")
        async with self._keeping, self._metadata.lock_content(record.sha256) as content:
            if not await content.is_used():
                raise Gone(f"the image {record.image_id} was deleted")
            known = await self._metadata.fetch(_OF, record.sha256, VERSION)
            if side in {row[0] for row in known}:  # another node was faster
                return
            await self._blobs[side].add(record.sha256, upload.path)
            await self._metadata.change(
                _KEEP,
                *(record.sha256, side, VERSION, upload.bytes, upload.sha256, header.model_dump_json()),
                int(time.time()),
            )
        self._added += upload.bytes
        if self._added > self._limit * _SLACK:
            self._wake.set()

    async def drop(self, sha256: str, side: int, digest: str) -> None:
        """Remove the level with this digest. No effect if there is none, or another one."""
        if side not in self._blobs:
            return
        async with self._metadata.lock_content(sha256):
            if await self._metadata.change(f"{_REMOVE} AND digest = $3", sha256, side, digest):
                await self._blobs[side].delete(sha256)

    async def forget(self, sha256: str) -> None:
        """Remove all levels of a content. The caller holds its lock.

        The files go first: the disk of the database may be full.
        """
        for blobs in self._blobs.values():
            await blobs.delete(sha256)
        await self._metadata.change("DELETE FROM levels WHERE sha256 = $1", sha256)

    async def sweep(self, grace: timedelta) -> int:
        """Remove what crashes and full disks have left. Returns the number of files.

        That is rows of contents that no image has, and files without a row that are older than `grace`.
        """
        with contextlib.suppress(InsufficientStorage):
            await self._metadata.change(_FORGET_UNUSED)
        removed = 0
        for side, blobs in self._blobs.items():
            async for batch in blobs.list_older(datetime.now(UTC) - grace):
                for sha256 in set(batch) - await self._known(side, batch):
                    removed += await self._remove_unknown(sha256, side)
        return removed

    async def _known(self, side: int, sha256s: Sequence[str]) -> set[str]:
        """Those of the given contents that images have, with a level of this side."""
        if not sha256s:
            return set()
        marks = ", ".join(f"${n + 2}" for n in range(len(sha256s)))
        query = f"SELECT sha256 FROM levels WHERE side = $1 AND sha256 IN ({marks})"  # noqa: S608
        found = {row[0] for row in await self._metadata.fetch(query, side, *sha256s)}
        return found & await self._metadata.used_contents([*found]) if found else found

    async def _remove_unknown(self, sha256: str, side: int) -> bool:
        async with self._metadata.lock_content(sha256):
            if await self._known(side, [sha256]):
                return False
            await self._blobs[side].delete(sha256)
        return True

    def make_room(self) -> None:
        """Look at the disk now, since it was full."""
        self._wake.set()

    async def run(self) -> None:
        """Keep levels within their limit, and off a disk that others fill, for ever."""
        looks = 0
        while True:
            self._wake.clear()
            try:
                low = await in_thread(self._is_low)
                if low or self._added > self._limit * _SLACK or not looks % _COUNTED_EVERY:
                    await self._fit(low=low)
            except (ServiceError, OSError) as error:
                logger.warning("levels cannot be counted or removed: %s", error)
            except Exception:
                logger.exception("levels cannot be counted or removed")  # go on: the disk may become full
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._wake.wait()
            looks += 1

    async def _fit(self, *, low: bool) -> None:
        self._added = 0
        ((counted,),) = await self._metadata.fetch("SELECT coalesce(sum(bytes), 0) FROM levels")
        total = int(counted)
        if total > self._limit:
            total -= await self._evict(total - int(self._limit * (1 - _SLACK)))
        while low and total > 0 and (evicted := await self._evict(max(1, int(total * _SLACK)))):
            total -= evicted
            low = await in_thread(self._is_low)
        LEVEL_BYTES.set(total)

    async def _evict(self, size: int) -> int:
        """Remove the least used levels, until those have `size` bytes. Returns how many bytes they had."""
        removed = 0
        while removed < size:
            rows = await self._metadata.fetch(_OLDEST, VERSION, _BATCH)
            for sha256, side, bytes_ in rows:
                if removed >= size:
                    break
                async with self._metadata.lock_content(sha256):
                    if side in self._blobs:  # first, since its bytes may be the room that the database lacks
                        await self._blobs[side].delete(sha256)
                    await self._metadata.change(_REMOVE, sha256, side)
                removed += bytes_
            if len(rows) < _BATCH:
                break
        if removed:
            logger.info("removed %d bytes of the least used levels", removed)
        return removed

    def _is_low(self) -> bool:
        if self._folder is None:
            return False
        usage = shutil.disk_usage(self._folder)
        return usage.free < min(_LEAST_FREE, usage.total * _LEAST_FREE_SHARE)


def _check(record: ImageRecord, side: int, header: Header) -> None:
    size = sizes(record.header).get(side)
    fmt = format_of(record.header)
    if size is None:
        raise BadRequest(f"the image {record.image_id} has no level of {side} pixels")
    if (header.size, header.image_format, header.frames, header.orientation) != (size, fmt, 1, 1):
        raise BadRequest(f"the level of {side} pixels is not {size} pixels in {fmt.name.upper()}, upright")
