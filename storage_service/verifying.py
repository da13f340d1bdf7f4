"""Verifies bytes on their way: an object store may send others than were uploaded."""

import hashlib
from collections import deque
from collections.abc import AsyncIterator

from service_kit.errors import ContentLost

_HELD = 1024**2
"""Bytes that are verified before the first of them is passed on."""


async def verified(chunks: AsyncIterator[memoryview], sha256: str) -> AsyncIterator[memoryview]:
    """The same chunks, but the last ones only if all together have this hash.

    Raises ContentLost if they do not: at once if they are small, otherwise in place of the last chunks.
    """
    digest, held = hashlib.sha256(), deque[memoryview]()
    async for chunk in chunks:
        digest.update(chunk)
        held.append(chunk)
        if sum(map(len, held)) >= _HELD:
            return _verified_later(chunks, digest, held, sha256)
    _check(digest, sha256)
    return _all(held)


async def _verified_later(
    chunks: AsyncIterator[memoryview], digest: "hashlib._Hash", held: deque[memoryview], sha256: str
) -> AsyncIterator[memoryview]:
    async for chunk in chunks:
        digest.update(chunk)
        held.append(chunk)
        yield held.popleft()
    _check(digest, sha256)
    async for chunk in _all(held):
        yield chunk


async def _all(held: deque[memoryview]) -> AsyncIterator[memoryview]:
    while held:
        yield held.popleft()


def _check(digest: "hashlib._Hash", sha256: str) -> None:
    if digest.hexdigest() != sha256:
        raise ContentLost(f"the blob store sent other bytes of {sha256} than were uploaded; retry later")
