"""Files that outlast a power failure, from the moment at which a call returns."""

import os
from pathlib import Path

from service_kit.spool import room_for

_WHAT = "the image"


class DurableFiles:
    """Files below `root`. Raises InsufficientStorage if the disk is full, DiskFailed if it fails."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._synced: set[Path] = set()
        """The folders whose names this process has synced. There are at most 65,793 of them (blobs.py)."""

    def keep(self, source: Path, target: Path) -> None:
        """Move `source` to `target`, durably: fsync, rename, fsync of the folders.

        If an fsync fails, so does the upload. The fsync is never retried, because the kernel forgets what it could not
        write (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). So the file must not
        stay: the next upload of the same bytes would take it for durable.
        """
        with room_for(_WHAT):
            _fsync(source)
            self._make_folders(target.parent)
            source.rename(target)
            try:
                _fsync(target.parent)
            except OSError:
                target.unlink(missing_ok=True)
                raise

    def sync_name(self, target: Path) -> None:
        """Make sure that the name of a file is durable, whose bytes are: the process that moved it may have died."""
        with room_for(_WHAT):
            self._make_folders(target.parent)
            _fsync(target.parent)

    def _make_folders(self, folder: Path) -> None:
        """Create folders and sync their names: also of those that exist, since another process may be about to."""
        if folder == self.root or (folder in self._synced and folder.is_dir()):
            return
        self._make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        _fsync(folder.parent)
        self._synced.add(folder)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
