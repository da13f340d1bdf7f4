"""What a decoder gets to read: a file, or a corrected copy where it would get the file wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from mmap import mmap


@dataclass(frozen=True, slots=True)
class Readable:
    """The bytes for a decoder."""

    data: bytes | mmap
    pages: Sequence[int] | None = None
    """The number that the decoder gives to each page of the file; None if it has the same pages."""
    added: int = 0
    """Bytes of an end that the file lacks. Only decoding all pixels tells whether it lacks more than that."""

    @property
    def shorter(self) -> bytes:
        """Without the last byte before the added end. If that decodes as well, the byte belongs to no pixel."""
        return self.data[: -self.added - 1] + self.data[-self.added :]
