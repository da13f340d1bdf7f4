"""An output format with its quality."""

from dataclasses import dataclass, replace
from typing import Self

from imaging.formats import Format

VERSION = 3
"""Part of every ETag and cache key. Raise it when the same request produces different bytes than before."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """An output format and the requested quality, 0 to 100 (best); None for the format's default."""

    format: Format
    quality: int | None = None

    def at_most(self, quality: int) -> Self:
        """The same with this quality, unless a lower one was requested before."""
        return replace(self, quality=quality if self.quality is None else min(self.quality, quality))

    @property
    def effective_quality(self) -> int:
        """The quality that the encoder uses; 100 is lossless if the format can be."""
        return self.format.encoder.default_quality if self.quality is None else self.quality

    def __str__(self) -> str:
        return f"{self.format.name},{self.effective_quality},v{VERSION}"
