"""The spool: a folder for files that live as long as one request."""

import asyncio
import errno
import hashlib
import os
import re
import stat
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from service_kit.errors import ContentTooLarge, InsufficientStorage

_FLUSH_BYTES = 1024**2
_LEFT_SECONDS = 3600
_OUR_NAME = re.compile("[0-9a-f]{32}")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Spooled:
    """A file in the spool, with the length and the SHA-256 (hex) of its bytes."""

    path: Path
    bytes: int
    sha256: str


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Turn a full disk into InsufficientStorage."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise InsufficientStorage(f"there is no room to store {what}") from error


class Spool:
    """A folder whose files are gone when their request is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder, and remove what a crash left in it; OSError when it cannot be used."""
        self._make_folder()
        self.sweep()

    def sweep(self) -> None:
        """Remove files that nobody has written to for an hour: their process was killed.

        Age decides, since the process may be another's on the same volume, with ids of its own. Only
        names that `new_path` gives: the folder is the operator's choice, and may hold what is not ours.
        """
        for file in self.folder.iterdir():
            if _OUR_NAME.fullmatch(file.name):
                with suppress(OSError):
                    _remove_if_left(file)

    def new_path(self) -> Path:
        """A path that no other file has, in a folder that is there: cleaners of `/tmp` remove what looks unused."""
        self._make_folder()
        return self.folder / uuid.uuid4().hex

    def _make_folder(self) -> None:
        """Make the folder for this user alone.

        Where everybody may make folders, another user may have made it first, to read what is spooled.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.parent.stat().st_mode & stat.S_IWOTH:
            found = self.folder.lstat()
            if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
                raise PermissionError(
                    f"the folder {self.folder} is not this user's own; remove it, or set SPOOL_DIR or TMPDIR to another"
                )

    @asynccontextmanager
    async def writer(self, limit: int, what: str) -> AsyncIterator["SpoolWriter"]:
        """A new file for at most `limit` bytes; removed at the end if nobody moved it away."""
        writer = SpoolWriter(self.new_path(), limit, what)
        try:
            yield writer
        finally:
            writer.close()


def _remove_if_left(file: Path) -> None:
    found = file.lstat()
    if stat.S_ISREG(found.st_mode) and time.time() - found.st_mtime > _LEFT_SECONDS:
        file.unlink()


class SpoolWriter:
    """Writes and hashes chunks outside the event loop, holding at most about 1 MiB of them."""

    def __init__(self, path: Path, limit: int, what: str) -> None:
        self._path = path
        self._limit = limit
        self._what = what
        self._size = 0
        self._pending = bytearray()
        self._hash = hashlib.sha256()
        self._file = path.open("xb", buffering=0)

    async def write(self, chunk: bytes) -> None:
        """Raises ContentTooLarge as soon as the limit is passed, InsufficientStorage on a full disk."""
        self._size += len(chunk)
        if self._size > self._limit:
            raise ContentTooLarge(f"{self._what} has more than {self._limit} bytes, the most that is allowed")
        self._pending += chunk
        if len(self._pending) >= _FLUSH_BYTES:
            await self._flush()

    async def finish(self) -> Spooled:
        """The complete file. Nothing can be written after it."""
        await self._flush()
        self._file.close()
        return Spooled(self._path, self._size, self._hash.hexdigest())

    def close(self) -> None:
        """Forget the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    async def _flush(self) -> None:
        pending, self._pending = self._pending, bytearray()
        await asyncio.to_thread(self._store, pending)

    def _store(self, pending: bytearray) -> None:
        with room_for(self._what):
            self._hash.update(pending)
            rest = memoryview(pending)
            while rest:
                rest = rest[self._file.write(rest) :]
