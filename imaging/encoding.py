"""An output format with its quality."""

from dataclasses import dataclass, replace
from typing import Self

from imaging.formats import Format

VERSION = 7
"""Part of every ETag and cache key. Increase it when the same request starts to produce different bytes."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """An output format and the requested quality, 0 to 100 (best); None for the format's default."""

    format: Format
    quality: int | None = None
    keep_profile: bool = False
    """Whether the colours stay those of the image, if the format can say so."""

    def at_most(self, quality: int) -> Self:
        """The same format with `quality`, or with the quality requested so far if that is lower."""
        return replace(self, quality=quality if self.quality is None else min(self.quality, quality))

    def with_profile(self, *, keep: bool) -> Self:
        """The same format with the colours of the image, or with sRGB. sRGB for formats without profiles."""
        return replace(self, keep_profile=keep and self.format.encoder.profiles)

    @property
    def effective_quality(self) -> int:
        """The quality that the encoder uses; 100 means lossless if the format supports it."""
        return self.format.encoder.default_quality if self.quality is None else self.quality

    def __str__(self) -> str:
        profile = ",profile" if self.keep_profile else ""
        return f"{self.format.name},{self.effective_quality}{profile},v{VERSION}"
