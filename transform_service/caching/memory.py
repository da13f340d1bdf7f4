"""A store for values in this process, whose memory is limited whatever is stored.

Values are in one mapping of a fixed size, which is overwritten from its start when it is full. If each value were an
object of its own, freed memory between those that stay would make the process up to 1.9 times as large as its values.
What belongs to a value besides its bytes (its key, its place, its group) takes objects, so their number is limited.
"""

import hashlib
import time
from collections import OrderedDict
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import NamedTuple

_ENTRY_BYTES = 800
"""What an entry takes besides its value if it has a group of its own. Measured with CPython 3.11: 730 bytes."""
_ENTRIES_SHARE = 8
"""One eighth of the memory is for entries, the rest for their values: enough for values of 6 kB on average."""


class _Entry(NamedTuple):
    start: int
    """How many bytes had been written before its value. The place is this number modulo the size of the mapping."""
    length: int
    expires: float
    """On the clock of time.monotonic."""
    group: bytes
    """The digest of its group; empty if it has none."""


class MemoryStore:
    """Values in this process. See CacheStore. Its memory is limited to `size` bytes, with all that belongs to them."""

    shared = False

    def __init__(self, size: int) -> None:
        self._most = size // _ENTRIES_SHARE // _ENTRY_BYTES
        self._room = size - self._most * _ENTRY_BYTES if self._most else 0
        self._values = mmap(-1, max(1, self._room), MAP_PRIVATE | MAP_ANONYMOUS)
        """Takes memory only as it is written."""
        self._written = 0
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        """By the digest of the key, in the order in which they were written."""
        self._groups: dict[bytes, set[bytes]] = {}

    async def get(self, key: str) -> bytes | None:
        """See CacheStore."""
        digest = _digest(key)
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if entry.expires <= time.monotonic():
            self._remove(digest)
            return None
        place = entry.start % self._room
        value = self._values[place : place + entry.length]
        if self._written - entry.start > self._room // 2:  # soon overwritten, although it is in use
            self._write(digest, value, entry.expires, entry.group)
        return value

    async def put(self, key: str, value: bytes, seconds: float, group: str = "") -> bool:
        """See CacheStore."""
        self._write(_digest(key), value, time.monotonic() + seconds, _digest(group) if group else b"")
        return True

    async def add(self, key: str, value: bytes, seconds: float) -> bool:
        """See CacheStore."""
        if await self.get(key) is not None:
            return False
        return await self.put(key, value, seconds)

    async def replace(self, key: str, old: bytes, value: bytes, seconds: float) -> None:
        """See CacheStore."""
        if await self.get(key) == old:
            await self.put(key, value, seconds)

    async def release(self, key: str, value: bytes) -> None:
        """See CacheStore."""
        if await self.get(key) == value:
            self._remove(_digest(key))

    async def remove_group(self, group: str) -> None:
        """See CacheStore."""
        for digest in list(self._groups.get(_digest(group), ())):
            self._remove(digest)

    async def close(self) -> None:
        """Give the memory back."""
        self._entries.clear()
        self._groups.clear()
        self._values.close()

    def _write(self, digest: bytes, value: bytes, expires: float, group: bytes) -> None:
        self._remove(digest)
        length = len(value)
        if not self._most or length > self._room:
            return
        start = self._written
        if start % self._room + length > self._room:  # a value is in one piece
            start += self._room - start % self._room
        self._written = start + length
        while self._entries and (self._first.start + self._room < self._written or len(self._entries) >= self._most):
            self._remove(next(iter(self._entries)))
        place = start % self._room
        self._values[place : place + length] = value
        self._entries[digest] = _Entry(start, length, expires, group)
        if group:
            self._groups.setdefault(group, set()).add(digest)

    @property
    def _first(self) -> _Entry:
        return next(iter(self._entries.values()))

    def _remove(self, digest: bytes) -> None:
        entry = self._entries.pop(digest, None)
        if entry and entry.group:
            digests = self._groups[entry.group]
            digests.remove(digest)
            if not digests:
                del self._groups[entry.group]


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=32).digest()
