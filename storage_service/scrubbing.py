"""Scrubbing: compares every blob with what its record says, and marks the images whose bytes have changed."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from service_kit.errors import ContentLost, ServiceError
from storage_service.blobs import BlobMissing, Blobs
from storage_service.metadata.base import MetadataStore, StoredContent

_PAGE = 500
_NAMED = 10_000
"""Findings of each kind that a report names. It counts them all."""
_IMAGES = 100
"""Images that a finding names."""
_GIVE_UP = 10
"""After so many unreadable blobs in a row, the fault is with the store."""
_YOUNG = timedelta(minutes=1)
_PATIENCE = 1.0
"""Seconds for an upload in progress to commit the record of a young blob."""

Damage = Literal["corrupt", "wrong size", "missing", "unreadable"]


class StoreUnusable(Exception):
    """Nothing can be read from the blob store."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A blob that is not what its record says."""

    sha256: str
    """Of the bytes that were uploaded."""
    damage: Damage
    bytes: int
    """Of the upload."""
    path: str
    """Below the root of the blob store."""
    images: list[str]
    """The IDs of the images with this content, the oldest first, 100 at most."""


@dataclass(slots=True)
class Report:
    """What a scrub has found so far."""

    blobs: int = 0
    """Blobs that were compared, whole or not."""
    bytes: int = 0
    """Bytes that were read. What looks damaged is read twice."""
    seconds: float = 0.0
    damaged: int = 0
    repaired: int = 0
    """Blobs that were marked as corrupt, and are whole again."""
    orphans: int = 0
    """Blobs without a record."""
    complete: bool = False
    """Whether every blob was compared."""
    findings: list[Finding] = field(default_factory=list)
    orphan_names: list[str] = field(default_factory=list)
    """The paths of blobs without a record."""


class Pace:
    """Holds a flow of bytes to `rate` bytes per second. 0: no limit."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._due = time.monotonic()

    async def after(self, size: int) -> None:
        """Wait until `size` bytes more are within the rate. A pause is not made up for."""
        if self._rate:
            self._due = max(self._due, time.monotonic()) + size / self._rate
            await asyncio.sleep(self._due - time.monotonic())


class Scrubber:
    """Compares blobs with records, next to running services. Deletes nothing. Holds one page of records at a time."""

    def __init__(self, metadata: MetadataStore, blobs: Blobs, rate: int) -> None:
        """`rate` is the limit on bytes read per second; 0: none."""
        self._metadata = metadata
        self._blobs = blobs
        self._pace = Pace(rate)
        self.report = Report()
        self.share = 0.0
        """How much of the work is done, from 0 to 1. Hashes are spread evenly, so the place in their order shows it."""

    async def run(self, found: Callable[[Finding], None]) -> None:
        """Compare all blobs, and call `found` for each that is damaged. `report` grows meanwhile.

        Raises ServiceError if the database does not respond, StoreUnusable if the blob store does not.
        """
        started = time.monotonic()
        held: list[Finding] = []
        whole: StoredContent | None = None
        try:
            async for content in self._contents():
                finding = await self._compare(content)
                self.report.seconds = time.monotonic() - started
                self.share = int(content.sha256[:8], 16) / 0xFFFFFFFF
                if finding and finding.damage == "unreadable":
                    held.append(finding)  # until the store sends another blob: the fault may be its own
                    if len(held) == _GIVE_UP:
                        raise StoreUnusable(f"the last {_GIVE_UP} blobs could not be read; check the blob store")
                    continue
                self._add([*held, finding] if finding else held, 1 + len(held), found)
                held.clear()
                whole = whole if finding else content
            if held and (whole is None or await self._damage(whole, Pace(0)) == "unreadable"):
                raise StoreUnusable(f"the last {len(held)} blobs could not be read; check the blob store")
            self._add(held, len(held), found)
            self.share = 1.0
            await self._list_orphans()
            self.report.complete = True
        finally:
            self.report.seconds = time.monotonic() - started

    def _add(self, findings: Iterable[Finding], blobs: int, found: Callable[[Finding], None]) -> None:
        """Add to the report what `blobs` blobs have led to."""
        self.report.blobs += blobs
        for finding in findings:
            self.report.damaged += 1
            _keep(self.report.findings, finding)
            found(finding)

    async def _contents(self) -> AsyncIterator[StoredContent]:
        page = await self._metadata.contents(_PAGE, "")
        while page:
            for content in page:
                yield content
            page = await self._metadata.contents(_PAGE, page[-1].sha256)

    async def _compare(self, content: StoredContent) -> Finding | None:
        """What is wrong with a blob. Looks twice, since a store may err, and the blob may be replaced meanwhile."""
        damage = await self._damage(content, self._pace)
        if damage or content.damaged:
            damage = await self._mark(content)
        images = await self._metadata.images_with(content.sha256, _IMAGES) if damage else None
        if damage and images:  # else whole, or deleted meanwhile
            return Finding(content.sha256, damage, content.bytes, self._blobs.key(content.sha256), images)
        return None

    async def _mark(self, content: StoredContent) -> Damage | None:
        """Look again, at full speed, while no upload can replace the blob or take it for whole, and note the result."""
        async with self._metadata.lock_content(content.sha256) as locked:
            damage = await self._damage(content, Pace(0))
            if damage == "corrupt":
                # The services see by themselves what is missing or too short, and when that is mended.
                await locked.mark_damaged(datetime.now(UTC))
            elif damage is None and await locked.is_damaged():
                await locked.mend()
                self.report.repaired += 1
        return damage

    async def _damage(self, content: StoredContent, pace: Pace) -> Damage | None:
        try:
            size = await self._blobs.size(content.sha256)
            if size is None:
                return "missing"
            if size != content.bytes:
                return "wrong size"
            return None if await self._hash(content, pace) == content.sha256 else "corrupt"
        except (BlobMissing, ContentLost):  # it changed since, or was verified on its way
            return "corrupt"
        except ServiceError:
            return "unreadable"

    async def _hash(self, content: StoredContent, pace: Pace) -> str:
        digest = hashlib.sha256()
        async for chunk in await self._blobs.open(content.sha256, content.bytes, range(content.bytes)):
            digest.update(chunk)
            self.report.bytes += len(chunk)
            await pace.after(len(chunk))
        return digest.hexdigest()

    async def _list_orphans(self) -> None:
        """Count the blobs without a record. They are the sweeper's, and harmless."""
        try:
            async for batch in self._blobs.list_all():
                left = await self._unused({blob.sha256 for blob in batch})
                if any(datetime.now(UTC) - blob.written_at < _YOUNG for blob in batch if blob.sha256 in left):
                    await asyncio.sleep(_PATIENCE)
                    left = await self._unused(left)
                for sha256 in sorted(left):
                    self.report.orphans += 1
                    _keep(self.report.orphan_names, self._blobs.key(sha256))
        except OSError as error:
            raise StoreUnusable(f"the blob store did not list its blobs: {error}") from error

    async def _unused(self, sha256s: set[str]) -> set[str]:
        return sha256s - await self._metadata.used_contents(sorted(sha256s)) if sha256s else set()


def _keep(names: list[Finding] | list[str], name: Finding | str) -> None:
    if len(names) < _NAMED:
        names.append(name)  # type: ignore[arg-type]
