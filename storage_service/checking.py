"""Checking: compares the names and sizes of blobs with the records. Reads no blob, so it is fast."""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from storage_service.blobs import Blobs
from storage_service.metadata.base import MetadataStore, StoredContent
from storage_service.scrubbing import Pace

_PAGE = 500
_PARTS = 256
"""By the first two digits of the SHA-256. One part at a time is in memory."""
_NAMED = 10_000
"""Findings that a report names. It counts them all."""
_IMAGES = 100
"""Images that a finding names."""
_AT_ONCE = 10_000
"""Suspects that are confirmed together."""
_UNDER_WAY = timedelta(minutes=1)
"""How long a deletion may take to remove the blob. Its purge stays in the outbox for at least 15 seconds."""

Fault = Literal["no blob", "wrong size", "no record"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A record without its blob, or a blob without a record."""

    fault: Fault
    sha256: str
    bytes: int
    """Size of the upload. Without a record, size of the blob."""
    path: str
    """Below the root of the blob store."""
    images: list[str]
    """The IDs of the images with this content, the oldest first, 100 at most."""


@dataclass(slots=True)
class Report:
    """What a check has found so far."""

    contents: int = 0
    """Contents that have at least one image."""
    blobs: int = 0
    seconds: float = 0.0
    without_blob: int = 0
    wrong_size: int = 0
    without_record: int = 0
    without_record_bytes: int = 0
    complete: bool = False
    findings: list[Finding] = field(default_factory=list)


class Checker:
    """Compares the list of blobs with the records, next to running services. Deletes and marks nothing."""

    def __init__(self, metadata: MetadataStore, blobs: Blobs, rate: int) -> None:
        """`rate` is the limit on blobs and records per second; 0: none."""
        self._metadata = metadata
        self._blobs = blobs
        self._pace = Pace(rate)
        self._suspects: list[tuple[str, StoredContent | None]] = []
        self.report = Report()
        self.share = 0.0
        """How much of the work is done, from 0 to 1. Hashes are spread evenly."""

    async def run(self, found: Callable[[Finding], None]) -> None:
        """Compare everything, and call `found` for each difference. `report` grows meanwhile.

        Raises ServiceError if the database or the blob store does not respond.
        """
        started = time.monotonic()
        try:
            for part in range(_PARTS):
                await self._compare(f"{part:02x}")
                if len(self._suspects) >= _AT_ONCE or part == _PARTS - 1:
                    await self._confirm(found)
                self.share = (part + 1) / _PARTS
                self.report.seconds = time.monotonic() - started
            self.report.complete = True
        finally:
            self.report.seconds = time.monotonic() - started

    async def _compare(self, begin: str) -> None:
        """Look for differences among the contents whose SHA-256 begins with these digits."""
        listed: dict[str, int] = {}
        async for batch in self._blobs.list_all(begin):
            listed |= {blob.sha256: blob.bytes for blob in batch}
            await self._pace.after(len(batch))
        self.report.blobs += len(listed)
        async for content in self._contents(begin):
            self.report.contents += 1
            if listed.pop(content.sha256, None) != content.bytes:
                self._suspects.append((content.sha256, content))
        self._suspects += [(sha256, None) for sha256 in listed]

    async def _contents(self, begin: str) -> AsyncIterator[StoredContent]:
        after = begin
        while page := await self._metadata.contents(_PAGE, after):
            wanted = [content for content in page if content.sha256.startswith(begin)]
            for content in wanted:
                yield content
            await self._pace.after(len(wanted))
            if len(wanted) < len(page):
                return
            after = page[-1].sha256

    async def _confirm(self, found: Callable[[Finding], None]) -> None:
        """Look again at what differs: an upload adds its blob first, and a deletion removes its record first."""
        for sha256, content in self._suspects:
            await self._pace.after(1)
            if finding := await self._difference(sha256, content):
                self._count(finding)
                found(finding)
        self._suspects.clear()

    async def _difference(self, sha256: str, content: StoredContent | None) -> Finding | None:
        """What is wrong with a content, while nobody can add or sweep it. Deletions in progress do not count."""
        async with self._metadata.lock_content(sha256):
            size = await self._blobs.size(sha256)
            images = await self._metadata.images_with(sha256, _IMAGES)
            going = not images and await self._metadata.is_purging(sha256, datetime.now(UTC) - _UNDER_WAY)
        path = self._blobs.key(sha256)
        if not images:
            return None if size is None or going else Finding("no record", sha256, size, path, [])
        if size is None:
            return Finding("no blob", sha256, content.bytes if content else 0, path, images)
        if content and size != content.bytes:
            return Finding("wrong size", sha256, content.bytes, path, images)
        return None

    def _count(self, finding: Finding) -> None:
        match finding.fault:
            case "no blob":
                self.report.without_blob += 1
            case "wrong size":
                self.report.wrong_size += 1
            case "no record":
                self.report.without_record += 1
                self.report.without_record_bytes += finding.bytes
        if len(self.report.findings) < _NAMED:
            self.report.findings.append(finding)
