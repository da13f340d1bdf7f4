"""A cache of originals on the local disk, for blobs in object stores, limited in bytes.

The files in the folder are its only index, so several processes can share it, and it outlasts them. Each file is a
whole original, named by its SHA-256, or a level, named after its original. Its modification time says when it was last
used. Nothing is synced; instead, each process verifies a file when it uses it for the first time.
"""

import asyncio
import fcntl
import hashlib
import itertools
import logging
import os
import re
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from imaging.levels import SIDES
from service_kit.errors import InsufficientStorage
from service_kit.flights import Flights
from service_kit.spool import Spool, Spooled
from service_kit.threads import in_thread
from transform_service.metrics import SOURCE_CACHE, SOURCE_CACHE_BYTES, SOURCE_CACHE_LIMIT

_NAME = re.compile("[0-9a-f]{64}")
_LEAST = 16 * 1024
"""What the smallest file counts as: its block, its inode, and what processes remember of it."""
_SLACK = 1 / 16
"""The share of the limit that is free after an eviction, and that a process adds before it measures the folder again:
other processes may have added to it."""
_LOCK = "lock"

Fetch = Callable[[Spool], AbstractAsyncContextManager[Spooled]]
"""Fetches an original into a spool, and verifies it."""

logger = logging.getLogger(__name__)


class _NoRoom(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    sha256: str
    bytes: int


def level_name(sha256: str, side: int) -> str:
    """The name of a level of the content `sha256`, so that the cache can forget both."""
    return hashlib.sha256(f"{sha256} {side}".encode()).hexdigest()


class DiskCache:
    """Originals in `folder`: those used last, as many as fit into `limit` bytes. A limit of 0 turns the cache off.

    Processes that share the folder may together exceed the limit, by a sixteenth for each process but one.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._spool = Spool(folder)
        self._limit = limit
        self._flights: Flights[bool] = Flights()
        self._verified: OrderedDict[str, None] = OrderedDict()
        """The originals that this process has verified, as many as the cache can hold."""
        self._changing = threading.Lock()
        self._size = -1
        """The bytes of all files; negative before the first use."""
        self._added = 0
        """The bytes that this process has added since it measured the folder."""
        self._fetching: dict[object, int] = {}
        """The bytes of each fetch, in the order in which they began."""
        if limit:
            SOURCE_CACHE_LIMIT.set(limit)

    @asynccontextmanager
    async def open(self, sha256: str, size: int, fetch: Fetch, name: str = "") -> AsyncIterator[Path | None]:
        """An original of `size` bytes as a file of the caller's own; None if the cache has no room for it.

        A level has a `name` besides its SHA-256; see `level_name`. Simultaneous callers share one fetch. Raises what
        `fetch` raises, but never InsufficientStorage.
        """
        file = _File(name or sha256, sha256, size)
        if max(size, _LEAST) > self._limit or not _NAME.fullmatch(file.name):
            yield None
            return
        with self._private() as path:
            if await in_thread(self._take, file, path):
                SOURCE_CACHE.labels("hit").inc()
                yield path
                return
            SOURCE_CACHE.labels("shared" if sha256 in self._flights else "miss").inc()
            kept = await self._flights.join(sha256, lambda: asyncio.create_task(self._fetch(file, fetch)))
            # Another process may have evicted it already.
            yield path if kept and await in_thread(self._take, file, path) else None

    async def forget(self, sha256: str) -> None:
        """Remove an original, and its levels. Requests that are using them keep them."""
        self._verified.pop(sha256, None)
        if self._limit and _NAME.fullmatch(sha256):
            for name in (sha256, *(level_name(sha256, side) for side in SIDES)):
                await in_thread((self._folder / name).unlink, missing_ok=True)

    @contextmanager
    def _private(self) -> Iterator[Path]:
        path = self._folder / os.urandom(16).hex()  # a name that Spool.sweep knows
        try:
            yield path
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _take(self, file: _File, path: Path) -> bool:
        """Link a file to `path`, so that it stays until the caller is done, even if it is evicted meanwhile."""
        cached, sha256 = self._folder / file.name, file.sha256
        try:
            os.link(cached, path)
            os.utime(path)
            if path.stat().st_size == file.bytes and (sha256 in self._verified or sha256_of(path) == sha256):
                self._remember(sha256)
                return True
            logger.warning("the source cache had a damaged file, which is fetched again: %s", cached)
            cached.unlink(missing_ok=True)
            path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            logger.warning("the source cache cannot be used: %s", error)
        return False

    def _remember(self, sha256: str) -> None:
        self._verified[sha256] = None
        while len(self._verified) > self._limit // _LEAST:
            self._verified.popitem(last=False)

    async def _fetch(self, file: _File, fetch: Fetch) -> bool:
        """Fetch and keep a file. Returns whether it was kept."""
        # An earlier fetch may have ended after the caller had not found the file.
        if await in_thread((self._folder / file.name).exists):
            return True
        me = object()
        self._fetching[me] = max(file.bytes, _LEAST)
        try:
            await in_thread(self._make_room, me)
            async with fetch(self._spool) as fetched:
                await in_thread(self._keep, me, fetched.path, file.name)
            self._remember(file.sha256)
        except _NoRoom:
            return False
        except (InsufficientStorage, OSError) as error:
            logger.warning("the source cache cannot keep an original: %s", error)
            await in_thread(self._halve)
            return False
        finally:
            del self._fetching[me]
        SOURCE_CACHE_BYTES.set(self._size)
        return True

    def _keep(self, me: object, path: Path, name: str) -> None:
        """Move a fetched file into the cache, and count it."""
        with self._changing:
            path.rename(self._folder / name)
            counted, self._fetching[me] = self._fetching[me], 0
            self._added += counted
            self._size += counted

    def _make_room(self, me: object) -> None:
        """Evict files if a fetch and those before it do not fit. Raises _NoRoom if they do not fit without any file."""
        slack = int(self._limit * _SLACK)
        with self._changing:
            if self._size < 0:
                self._spool.prepare()
            before = itertools.takewhile(lambda each: each[0] is not me, [*self._fetching.items()])
            room = self._limit - self._fetching.get(me, 0) - sum(size for _, size in before)
            if self._size < 0 or self._size > room or self._added > slack:
                self._evict(room, slack)
            if self._size > room:
                raise _NoRoom

    def _halve(self) -> None:
        """Make room on a disk that others have filled."""
        with self._changing, suppress(OSError):
            self._evict(self._size // 2)

    def _evict(self, limit: int, slack: int = 0) -> None:
        """If the files exceed `limit` bytes, remove those that were not used for longest, and `slack` bytes more."""
        with (self._folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._spool.sweep()  # names that a killed process left, which would keep evicted files on the disk
            files = sorted(_measured(self._folder))
            total = sum(size for _, size, _ in files)
            target = limit if total <= limit else limit - slack
            for _, size, path in files:
                if total <= target:
                    break
                if _NAME.fullmatch(path.name):  # the others are in use
                    path.unlink(missing_ok=True)
                    self._verified.pop(path.name, None)
                    total -= size
            self._size, self._added = total, 0
            SOURCE_CACHE_BYTES.set(total)


def _measured(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When each file was used last, and what it counts as. A file with several names counts once."""
    seen: set[int] = set()
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: len(entry.name), reverse=True)  # private names are shorter
    for entry in entries:
        with suppress(FileNotFoundError):
            status = entry.stat(follow_symlinks=False)
            if entry.name != _LOCK and status.st_ino not in seen:
                seen.add(status.st_ino)
                yield status.st_mtime, max(status.st_size, _LEAST), Path(entry.path)


def sha256_of(path: Path) -> str:
    """The SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
