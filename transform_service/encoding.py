"""What an encoder is told."""

from dataclasses import dataclass, replace
from typing import Self

from service_kit.formats import Format

VERSION = 3
"""Part of every ETag and cache key: raise it when equal requests give other bytes than before."""

_DEFAULT_QUALITY = {"jpeg": 80, "webp": 79, "avif": 60}
"""About the same to the eye (imgproxy's and libvips' defaults); the other formats are lossless by default."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """An output format, and the quality asked for (0 to 100, 100 the best), None where nobody asked."""

    format: Format
    quality: int | None = None

    def at_most(self, quality: int) -> Self:
        """With this quality unless a smaller one was asked for already."""
        return replace(self, quality=quality if self.quality is None else min(self.quality, quality))

    @property
    def effective_quality(self) -> int:
        """The quality in force; 100 is lossless where the format can be."""
        return _DEFAULT_QUALITY.get(self.format.name, 100) if self.quality is None else self.quality

    def __str__(self) -> str:
        return f"{self.format.name},{self.effective_quality},v{VERSION}"
