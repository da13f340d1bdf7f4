"""What is derived from contents and kept in the blob store: limited in bytes, least used out first.

Losing any of it costs time only. So the transform service decides what there is, and nobody waits for it.
"""

import abc
import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prometheus_client import Gauge

from service_kit.errors import BadRequest, Gone, InsufficientStorage, ServiceError
from service_kit.spool import Spooled
from service_kit.threads import in_thread
from storage_service.blobs import Blobs
from storage_service.metadata.base import ImageRecord, MetadataStore

URL_LIFETIME = timedelta(minutes=10)
_USED_SECONDS = 3600
"""How exactly the last use is known."""
_LOOK_SECONDS, _COUNTED_EVERY = 60.0, 10
"""Seconds between two looks at the disk, and after how many of them the bytes are counted."""
_SLACK = 1 / 16
"""The share of the limit that is free after an eviction, and that is added before the bytes are counted again: other
processes may have added some."""
_LEAST_FREE, _LEAST_FREE_SHARE = 1024**3, 1 / 20
"""Derivatives give way as long as less is free on the disk: a GiB, or a twentieth of a small disk."""
_KEEPING = 2
"""Files that a process stores at once: each holds a connection that uploads need, too."""
_BATCH = 200

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """A derivative of a content."""

    name: str
    bytes: int
    digest: str
    """The SHA-256 of its own bytes."""
    about: str
    used_at: int


class Derivatives(abc.ABC):
    """All of one kind, of at most `limit` bytes. 0: there are none, and earlier ones are removed."""

    table: str
    """Its table in the database, and the folder in the blob store."""
    what: str
    """One of them, for messages."""
    setting: str
    """The setting of the limit."""

    def __init__(self, metadata: MetadataStore, blobs: Blobs, limit: int, gauges: tuple[Gauge, Gauge]) -> None:
        """`gauges`: for the bytes, and for their limit."""
        self.metadata = metadata
        self.limit = limit if blobs.can_be_read else 0
        self._folder = blobs.spool_folder if blobs.in_files else None
        self._keeping = asyncio.Semaphore(_KEEPING)
        self._added = 0
        """The bytes that this process has added since it counted all."""
        self._wake = asyncio.Event()
        self._gauge, limited = gauges
        limited.set(self.limit)

    @property
    @abc.abstractmethod
    def version(self) -> int:
        """That of the code that makes them. Those of other versions are not used, and removed first."""

    @abc.abstractmethod
    def stored(self) -> Mapping[str, Blobs]:
        """Where the files are, by the folder's own name."""

    @abc.abstractmethod
    def place(self, sha256: str, name: str) -> tuple[Blobs, str] | None:
        """Where the file of one is, and its name there; None if this version does not know that name."""

    @abc.abstractmethod
    async def known(self, folder: str, files: Sequence[str]) -> set[str]:
        """Those of the files in a folder that have a row, and whose content an image has."""

    async def rows(self, sha256: str) -> list[Row]:
        """Those of a content, and of this version, last used first."""
        query = (
            f"SELECT name, bytes, digest, about, used_at FROM {self.table}"  # noqa: S608
            " WHERE sha256 = $1 AND version = $2 ORDER BY used_at DESC, name"
        )
        return [Row(*row) for row in await self.metadata.fetch(query, sha256, self.version)]

    async def note_use_of(self, sha256: str, rows: Sequence[Row]) -> None:
        """Note that all of a content were used, unless that was noted lately."""
        now = int(time.time())
        if any(now - row.used_at > _USED_SECONDS for row in rows):
            with contextlib.suppress(ServiceError):  # such as a full disk, on which images can still be read
                used = f"UPDATE {self.table} SET used_at = $2 WHERE sha256 = $1"  # noqa: S608
                await self.metadata.change(used, sha256, now)

    async def store(self, record: ImageRecord, name: str, upload: Spooled, about: str) -> None:
        """Store one of an image, unless there is one.

        Raises BadRequest if none are kept, or the name is unknown, Gone if the image has been deleted, and
        InsufficientStorage if storage is full.
        """
        place = self.place(record.sha256, name)
        if not self.limit or place is None:
            raise BadRequest(
                f"this service keeps no such {self.what}: {self.setting} is 0, or BLOB_URL has no files and no signed"
                " URLs"
            )
        if upload.bytes > self.limit:
            raise BadRequest(f"the {self.what} has {upload.bytes} bytes, more than {self.setting} in all")
        if await in_thread(self.is_low):
            raise InsufficientStorage(f"the disk is almost full; the {self.what} was not stored")
        blobs, file = place
        async with self._keeping, self.metadata.lock_content(record.sha256) as content:
            if not await content.is_used():
                raise Gone(f"the image {record.image_id} was deleted")
            if name in {row.name for row in await self.rows(record.sha256)}:  # another node was faster
                used = f"UPDATE {self.table} SET used_at = $3 WHERE sha256 = $1 AND name = $2"  # noqa: S608
                await self.metadata.change(used, record.sha256, name, int(time.time()))
                return
            await blobs.add(file, upload.path)
            await self.metadata.change(
                f"INSERT INTO {self.table} (sha256, name, version, bytes, digest, about, used_at)"  # noqa: S608
                " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (sha256, name) DO UPDATE SET"
                " version = excluded.version, bytes = excluded.bytes, digest = excluded.digest,"
                " about = excluded.about, used_at = excluded.used_at",
                *(record.sha256, name, self.version, upload.bytes, upload.sha256, about, int(time.time())),
            )
        self._added += upload.bytes
        if self._added > self.limit * _SLACK:
            self._wake.set()

    async def drop(self, sha256: str, name: str, digest: str) -> None:
        """Remove the one with this digest. No effect if there is none, or another one."""
        place = self.place(sha256, name)
        if place is None:
            return
        async with self.metadata.lock_content(sha256):
            remove = f"DELETE FROM {self.table} WHERE sha256 = $1 AND name = $2 AND digest = $3"  # noqa: S608
            if await self.metadata.change(remove, sha256, name, digest):
                await place[0].delete(place[1])

    async def forget(self, sha256: str) -> None:
        """Remove all of a content. The caller holds its lock.

        The files go first: the disk of the database may be full.
        """
        names = f"SELECT name FROM {self.table} WHERE sha256 = $1"  # noqa: S608
        for (name,) in await self.metadata.fetch(names, sha256):
            if place := self.place(sha256, name):
                await place[0].delete(place[1])
        await self.metadata.change(f"DELETE FROM {self.table} WHERE sha256 = $1", sha256)  # noqa: S608

    async def sweep(self, grace: timedelta) -> int:
        """Remove what crashes and full disks have left. Returns the number of files.

        That is rows of contents that no image has, and files without a row that are older than `grace`.
        """
        with contextlib.suppress(InsufficientStorage):
            await self.metadata.change(
                f"DELETE FROM {self.table} WHERE NOT EXISTS (SELECT 1 FROM images"  # noqa: S608
                f" WHERE images.sha256 = {self.table}.sha256 AND deleted_at IS NULL)"
            )
        while await self._remove_old_versions():
            pass
        removed = 0
        for folder, blobs in self.stored().items():
            async for batch in blobs.list_older(datetime.now(UTC) - grace):
                for file in set(batch) - await self.known(folder, batch):
                    removed += await self._remove_unknown(folder, blobs, file)
        return removed

    async def _remove_old_versions(self) -> int:
        query = f"SELECT sha256, name FROM {self.table} WHERE version <> $1 LIMIT $2"  # noqa: S608
        rows = await self.metadata.fetch(query, self.version, _BATCH)
        for sha256, name in rows:
            await self._remove(sha256, name)
        return len(rows)

    async def _remove_unknown(self, folder: str, blobs: Blobs, file: str) -> bool:
        async with self.metadata.lock_content(file):
            if await self.known(folder, [file]):
                return False
            await blobs.delete(file)
        return True

    async def with_rows(self, column: str, values: Collection[str], where: str = "", *more: object) -> set[str]:
        """The given values of a column that occur in rows whose content still belongs to an image."""
        if not values:
            return set()
        marks = ", ".join(f"${n + 1 + len(more)}" for n in range(len(values)))
        query = f"SELECT {column}, sha256 FROM {self.table} WHERE {column} IN ({marks}){where}"  # noqa: S608
        rows = await self.metadata.fetch(query, *more, *values)
        used = await self.metadata.used_contents([*{row[1] for row in rows}]) if rows else set()
        return {row[0] for row in rows if row[1] in used}

    def make_room(self) -> None:
        """Look at the disk now, since it was full."""
        self._wake.set()

    async def run(self) -> None:
        """Keep the bytes within their limit, and off a disk that others fill, for ever."""
        looks = 0
        while True:
            self._wake.clear()
            try:
                low = await in_thread(self.is_low)
                if low or self._added > self.limit * _SLACK or not looks % _COUNTED_EVERY:
                    await self.fit(low=low)
            except (ServiceError, OSError) as error:
                logger.warning("%s cannot be counted or removed: %s", self.table, error)
            except Exception:
                logger.exception("%s cannot be counted or removed", self.table)  # go on: the disk may become full
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._wake.wait()
            looks += 1

    async def fit(self, *, low: bool) -> None:
        """Count the bytes, and remove what is too much. `low`: the disk is almost full."""
        self._added = 0
        total = await self.bytes()
        if total > self.limit:
            total -= await self._evict(total - int(self.limit * (1 - _SLACK)))
        while low and total > 0 and (evicted := await self._evict(max(1, int(total * _SLACK)))):
            total -= evicted
            low = await in_thread(self.is_low)
        self._gauge.set(total)

    async def bytes(self) -> int:
        """The bytes of all of them."""
        query = f"SELECT coalesce(sum(bytes), 0) FROM {self.table}"  # noqa: S608
        ((counted,),) = await self.metadata.fetch(query)
        return int(counted)

    async def is_full(self) -> bool:
        """Whether more of them would only push others out."""
        return await self.bytes() > self.limit * (1 - 2 * _SLACK)

    async def _evict(self, size: int) -> int:
        """Remove those that were not used for longest, until they had `size` bytes. Returns how many they had."""
        oldest = (
            f"SELECT sha256, name, bytes FROM {self.table}"  # noqa: S608
            " ORDER BY CASE WHEN version = $1 THEN 1 ELSE 0 END, used_at, sha256, name LIMIT $2"
        )
        removed, stuck = 0, 0
        while removed < size:
            rows = await self.metadata.fetch(oldest, self.version, _BATCH + stuck)
            for sha256, name, bytes_ in rows[stuck:]:
                if removed >= size:
                    break
                try:
                    await self._remove(sha256, name)
                    removed += bytes_
                except ServiceError as error:  # the others may go
                    logger.warning("one of the %s cannot be removed: %s", self.table, error)
                    stuck += 1
            if len(rows) < _BATCH or stuck >= _BATCH:
                break
        if removed:
            logger.info("removed %d bytes of the least used %s", removed, self.table)
        return removed

    async def _remove(self, sha256: str, name: str) -> None:
        async with self.metadata.lock_content(sha256):
            if place := self.place(sha256, name):  # first, since its bytes may be the room that the database lacks
                await place[0].delete(place[1])
            remove = f"DELETE FROM {self.table} WHERE sha256 = $1 AND name = $2"  # noqa: S608
            await self.metadata.change(remove, sha256, name)

    async def remove_about(self, about: str, limit: int = _BATCH) -> int:
        """Remove at most `limit` that are about this. Returns how many."""
        query = f"SELECT sha256, name FROM {self.table} WHERE about = $1 LIMIT $2"  # noqa: S608
        rows = await self.metadata.fetch(query, about, limit)
        for sha256, name in rows:
            await self._remove(sha256, name)
        return len(rows)

    def is_low(self) -> bool:
        """Whether the disk is almost full."""
        if self._folder is None:
            return False
        usage = shutil.disk_usage(self._folder)
        return usage.free < min(_LEAST_FREE, usage.total * _LEAST_FREE_SHARE)
