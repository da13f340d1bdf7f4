"""Stores sources as images, each once, however often it is tried."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from imgsvc_client import ApiError, Client, Image

from imgsvc.transfers.index import Record
from imgsvc.transfers.patience import Patience
from imgsvc.transfers.sources import Source

_CHUNK = 256 * 1024
_GONE = 410
_CHANGEABLE = ("title", "alt", "tags", "metadata", "focus", "visibility")
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
    patience: Patience
    verify: bool
    """Whether to ask if an image from before still exists."""
    again: bool = False
    """Whether to store what is stored already."""

    def __call__(self, task: Task) -> Record:
        """Store a source, unless that was done before. Returns the record, with `new`."""
        return self.patience.kept(lambda: self._stored(task.source, task.before))

    def _stored(self, source: Source, before: Record | None) -> Record:
        if before and self._is_unchanged(source, before) and self._is_there(before):
            return self._labelled(source, before)
        with source.open() as path:
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
            sha256 = digest.hexdigest()
            if before and before.get("sha256") == sha256 and self._is_there(before):
                return self._labelled(source, {**before, "modified": source.modified})
            image = self._sent(source, path, self._name(source, sha256, before))
        return {
            "source": source.name,
            "image_id": image.image_id,
            "url": image.url(),
            "bytes": image.bytes,
            "sha256": sha256,
            "modified": source.modified,
            "stored_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "labels": self._said(source),
            **source.about,
            "new": True,
        }

    def _sent(self, source: Source, path: Path, repeat: str) -> Image:
        """Send a file. If it was stored and deleted within a day, the service still knows the name: use another."""

        def progress(sent: int, _: int | None) -> None:
            self.progress(source, sent)

        for generation in count():
            name = f"{repeat}-{generation}" if generation else repeat
            try:
                return self.client.upload(path, progress=progress, repeat=name, **self._labels(source))
            except ApiError as error:
                if error.status != _GONE:
                    raise
        raise AssertionError

    def _labels(self, source: Source) -> dict[str, Any]:
        """What the upload says. What the command says about all images comes before what the source says."""
        return {"name": source.filename, **source.labels, **self.labels}

    def _labelled(self, source: Source, before: Record) -> Record:
        """The record of an image that is there, after its labels have become those of this run."""
        said, labels = self._said(source), self._labels(source)
        changes = {name: value for name, value in labels.items() if name in _CHANGEABLE}
        if changes and before.get("labels") != said:
            self.client.change(before["image_id"], **changes)
            return {**before, "labels": said, "new": False}
        return {**before, "new": False}

    def _said(self, source: Source) -> str:
        """A digest of the labels; empty without any."""
        labels = {**source.labels, **self.labels}
        text = json.dumps(dict(sorted(labels.items())), default=str)
        return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16] if labels else ""

    def _is_unchanged(self, source: Source, before: Record) -> bool:
        same_file = source.modified is not None and before.get("modified") == source.modified
        return same_file and before.get("bytes") == source.size

    def _is_there(self, before: Record) -> bool:
        return not self.again and "image_id" in before and (not self.verify or self.client.exists(before["image_id"]))

    def _name(self, source: Source, sha256: str, before: Record | None) -> str:
        """Names the upload. It is the same in a second run, unless the image of the first is gone."""
        parts = [source.name, sha256, (before or {}).get("image_id", ""), (before or {}).get("stored_at", "")]
        return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()
