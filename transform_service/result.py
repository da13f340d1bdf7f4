"""A result that is sent to clients: in memory if it is small, otherwise in a private file."""

import os
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from service_kit.errors import Unavailable
from service_kit.threads import in_thread

_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Timings:
    """Where a result comes from, and how many seconds its render took: zeros if it was not rendered now."""

    source: Literal["hit", "waited", "stored", "miss", "original"] = "miss"
    """The result cache (hit), another node (waited), a stored variant, a render here (miss), or the original itself."""
    queue: float = 0.0
    render: float = 0.0
    encode: float = 0.0
    level: bool = False
    """Whether the render started from a level."""


class Result:
    """The bytes of one result. Several responses may be sent from it at once."""

    def __init__(
        self, body: bytes | None, descriptor: int | None, size: int, timings: Timings, stored: Path | None = None
    ) -> None:
        self.body = body
        self.size = size
        self.timings = timings
        self.stored = stored
        """The file in the blob store with these bytes, which nginx can send."""
        self._descriptor = descriptor
        if descriptor is not None:
            weakref.finalize(self, os.close, descriptor)

    @classmethod
    def in_memory(cls, body: bytes, timings: Timings) -> Self:
        """A result in memory."""
        return cls(body, None, len(body), timings)

    @classmethod
    def from_file(cls, path: Path, timings: Timings, stored: Path | None = None) -> Self:
        """A result in a file. The caller may remove the file: its bytes stay readable while a response needs them.

        Raises Unavailable if the file has disappeared.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError as error:
            raise Unavailable(
                "the bytes of the image disappeared during the request; retry, unless the image was just deleted"
            ) from error
        return cls(None, descriptor, os.fstat(descriptor).st_size, timings, stored)

    async def chunks(self) -> AsyncIterator[bytes]:
        """All bytes, from the start."""
        if self.body is not None:
            yield self.body
            return
        assert self._descriptor is not None
        for offset in range(0, self.size, _CHUNK):
            yield await in_thread(os.pread, self._descriptor, _CHUNK, offset)
