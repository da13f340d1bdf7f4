"""The spool: a folder for files that live no longer than one request."""

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

from service_kit.errors import ContentTooLarge, DiskFailed, InsufficientStorage
from service_kit.threads import in_thread

_FLUSH_BYTES = 1024**2
_PENDING_BYTES = 32 * 1024**2
"""Bytes that all files together may have in memory. Beyond that, each chunk is written at once."""
_WRITERS = 2
"""Threads that hash and write at once. With more, the event loop would have to wait for a core."""
_LEFT_SECONDS = 3600
_OUR_NAME = re.compile("[0-9a-f]{32}")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BROKEN = {errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.EUCLEAN, errno.EBADMSG}


class _Claims:
    """Counts who needs a file, and removes it when nobody does. It may have been moved away before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 1

    def add(self) -> None:
        self._number += 1

    def drop(self) -> None:
        self._number -= 1
        if not self._number:
            self._path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Spooled:
    """A file in the spool, with the length and the SHA-256 (hex) of its contents."""

    path: Path
    bytes: int
    sha256: str
    _claims: _Claims | None = None
    """None: nothing removes the file."""

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep the file until the end of the context, even if that of its writer ends first."""
        if self._claims:
            self._claims.add()
        try:
            yield
        finally:
            if self._claims:
                self._claims.drop()


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Translate errors of the disk: InsufficientStorage if it is full, otherwise DiskFailed. They name `what`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise InsufficientStorage(f"the disk is full; {what} was not stored") from error
        if error.errno in _BROKEN:
            raise DiskFailed(f"the disk failed; {what} was not stored") from error
        raise


class Spool:
    """A folder whose files disappear with their request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pending = 0
        """Bytes in memory that wait to be written."""
        self.writing = asyncio.Semaphore(_WRITERS)

    def prepare(self) -> None:
        """Create the folder, and remove files that a crash left there. Raises OSError if the folder is unusable."""
        self._make_folder()
        self.sweep()

    def sweep(self) -> None:
        """Remove files that nothing has written to for an hour: their process was killed.

        Only the age shows that, since the process may have run in another container on the same volume. Only files
        named by `new_path` are removed: the operator chose the folder, and it may hold other files.
        """
        for file in self.folder.iterdir():
            if _OUR_NAME.fullmatch(file.name):
                with suppress(OSError):
                    _remove_if_left(file)

    def new_path(self) -> Path:
        """A new path in the folder. Creates the folder again if a clean-up of `/tmp` has removed it."""
        self._make_folder()
        return self.folder / uuid.uuid4().hex

    def _make_folder(self) -> None:
        """Create the folder, readable for this user only.

        If everyone can write to the parent, another user may have created the folder first, to read spooled files.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.parent.stat().st_mode & stat.S_IWOTH:
            found = self.folder.lstat()
            if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
                raise PermissionError(
                    f"the folder {self.folder} belongs to another user; remove it, or set another SPOOL_DIR or TMPDIR"
                )

    @asynccontextmanager
    async def writer(self, limit: int, what: str) -> AsyncIterator["SpoolWriter"]:
        """A new file of at most `limit` bytes. It is removed at the end of the context and of all claims on it.

        `what` names the contents in errors. The file may be moved away before.
        """
        writer = SpoolWriter(self, limit, what)
        try:
            yield writer
        finally:
            writer.close()


def _remove_if_left(file: Path) -> None:
    found = file.lstat()
    if stat.S_ISREG(found.st_mode) and time.time() - found.st_mtime > _LEFT_SECONDS:
        file.unlink()


class SpoolWriter:
    """Hashes chunks and writes them to a file, outside the event loop.

    Keeps at most about 1 MiB in memory, and less if many clients that upload slowly let it keep that much.
    """

    def __init__(self, spool: Spool, limit: int, what: str) -> None:
        self._spool = spool
        self._path = path = spool.new_path()
        self._limit = limit
        self._what = what
        self._size = 0
        self._pending = bytearray()
        self._hash = hashlib.sha256()
        self._file = path.open("xb", buffering=0)
        self._claims = _Claims(path)

    async def write(self, chunk: bytes) -> None:
        """Add a chunk.

        Raises ContentTooLarge as soon as the limit is exceeded, InsufficientStorage if the disk is full.
        """
        self._size += len(chunk)
        if self._size > self._limit:
            raise ContentTooLarge(f"{self._what} is larger than {self._limit} bytes")
        self._pending += chunk
        self._spool.pending += len(chunk)
        if len(self._pending) >= _FLUSH_BYTES or self._spool.pending > _PENDING_BYTES:
            await self._flush()

    async def finish(self) -> Spooled:
        """Write what is left and return the complete file. Do not call `write` after this."""
        await self._flush()
        self._file.close()
        return Spooled(self._path, self._size, self._hash.hexdigest(), self._claims)

    def close(self) -> None:
        """Close the file, and remove it unless someone has a claim on it. Call this once."""
        self._spool.pending -= len(self._pending)
        self._pending.clear()
        self._file.close()
        self._claims.drop()

    async def _flush(self) -> None:
        pending, self._pending = self._pending, bytearray()
        try:
            async with self._spool.writing:
                await in_thread(self._store, pending)
        finally:
            self._spool.pending -= len(pending)

    def _store(self, pending: bytearray) -> None:
        with room_for(self._what):
            self._hash.update(pending)
            rest = memoryview(pending)
            while rest:
                rest = rest[self._file.write(rest) :]
