"""Stores sources as images, each once, however often it is tried."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from imgsvc_client import Client

from imgsvc.transfers.index import Record
from imgsvc.transfers.sources import Source

RETRIES = 9
"""A service that restarts is back before the last attempt, a minute after the first."""
_CHUNK = 256 * 1024
Progress = Callable[[Source, int], None]
"""Called with the bytes of the file that were sent."""


@dataclass(frozen=True, slots=True)
class Task:
    """A source, and what became of it before."""

    source: Source
    before: Record | None


@dataclass(frozen=True, slots=True)
class Storing:
    """How to store sources."""

    client: Client
    labels: Mapping[str, Any]
    progress: Progress
    verify: bool
    """Whether to ask if an image from before still exists."""
    again: bool = False
    """Whether to store what is stored already."""

    def __call__(self, task: Task) -> Record:
        """Store a source, unless that was done before. Returns the record, with `new`."""
        source, before = task.source, task.before
        if before and self._is_unchanged(source, before) and self._is_there(before):
            return {**before, "new": False}
        with source.open() as path:
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
            sha256 = digest.hexdigest()
            if before and before.get("sha256") == sha256 and self._is_there(before):
                return {**before, "modified": source.modified, "new": False}
            image = self.client.upload(
                path,
                name=source.filename,
                progress=lambda sent, _: self.progress(source, sent),
                repeat=self._name(source, sha256, before),
                **self.labels,
            )
        return {
            "source": source.name,
            "image_id": image.image_id,
            "url": image.url(),
            "bytes": image.bytes,
            "sha256": sha256,
            "modified": source.modified,
            "stored_at": datetime.now(UTC).isoformat(timespec="seconds"),
            **source.about,
            "new": True,
        }

    def _is_unchanged(self, source: Source, before: Record) -> bool:
        same_file = source.modified is not None and before.get("modified") == source.modified
        return same_file and before.get("bytes") == source.size

    def _is_there(self, before: Record) -> bool:
        return not self.again and "image_id" in before and (not self.verify or self.client.exists(before["image_id"]))

    def _name(self, source: Source, sha256: str, before: Record | None) -> str:
        """Names the upload. It is the same in a second run, unless the image of the first is gone."""
        parts = [source.name, sha256, (before or {}).get("image_id", ""), (before or {}).get("stored_at", "")]
        return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()
