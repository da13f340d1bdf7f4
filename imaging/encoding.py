"""An output format with its quality."""

from dataclasses import dataclass, replace
from typing import Self

from imaging.formats import Format

VERSION = 5
"""Part of every ETag and cache key. Increase it when the same request starts to produce different bytes."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """An output format and the requested quality, 0 to 100 (best); None for the format's default."""

    format: Format
    quality: int | None = None

    def at_most(self, quality: int) -> Self:
        """The same format with `quality`, or with the quality requested so far if that is lower."""
        return replace(self, quality=quality if self.quality is None else min(self.quality, quality))

    @property
    def effective_quality(self) -> int:
        """The quality that the encoder uses; 100 means lossless if the format supports it."""
        return self.format.encoder.default_quality if self.quality is None else self.quality

    def __str__(self) -> str:
        return f"{self.format.name},{self.effective_quality},v{VERSION}"
