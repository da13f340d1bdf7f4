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
    doubtful: bool = False
    """Whether only decoding all pixels tells if the file is whole."""
