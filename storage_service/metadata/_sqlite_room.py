"""Room on the disk of SQLite's file, so that images can be deleted when the disk is full."""

import os
from contextlib import suppress
from pathlib import Path

from service_kit.errors import InsufficientStorage

_RESERVE, _LOG = 4 * 1024**2, 1024**2
"""Bytes. A deletion adds about ten pages of 4 KiB to the log, which SQLite overwrites from its start after 4 MiB, and
hardly any to the database."""
_FULL = "the disk of the database is full; what is left is for deletions"
_SHARE = 16
"""The reserve takes no more than this fraction of a small disk."""


class Room:
    """A file that takes up room, to be given up when the disk is full. Other programs cannot take that room."""

    def __init__(self, database: Path) -> None:
        self._file = database.with_name(f"{database.name}.reserve")
        self._log = database.with_name(f"{database.name}-wal")
        self._held = False

    def give_up(self) -> bool:
        """Free the room, and return whether there was any."""
        had = self._file.exists()
        self._file.unlink(missing_ok=True)
        self._held = False
        return had

    def give_up_to_start(self) -> None:
        """Free the room if SQLite could not start without it."""
        if self._sizes()[1] < _LOG:
            self.give_up()

    def reserve(self) -> None:
        """Take up the room, unless it is. Raises InsufficientStorage if the disk is full, or would be then."""
        size, free = self._sizes()
        if free < size // 4:
            raise InsufficientStorage(_FULL)
        if self._held:
            return
        if not self._file.exists() or self._file.stat().st_size < size:
            if free < 2 * size:
                raise InsufficientStorage(_FULL)
            self._allocate(self._file, "wb", size)
        self._held = True

    def reserve_log(self) -> None:
        """Give the log some room at once, for which it would compete with uploads when the disk is full.

        SQLite reads the log only as far as it wrote it.
        """
        size, free = self._sizes()
        if free > 2 * size:
            self._allocate(self._log, "rb+", min(_LOG, size // 4))

    @staticmethod
    def _allocate(path: Path, mode: str, size: int) -> None:
        with suppress(OSError), path.open(mode) as file:  # OSError: the disk was filled meanwhile
            os.posix_fallocate(file.fileno(), 0, size)

    def _sizes(self) -> tuple[int, int]:
        """Of the reserve on this disk, and what is free."""
        found = os.statvfs(self._file.parent)
        size = min(_RESERVE, found.f_blocks * found.f_frsize // _SHARE)
        return size, found.f_bavail * found.f_frsize
