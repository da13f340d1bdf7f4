"""How each format is written: one function a format, called in renderer processes.

Quality is 0 to 100; 100 is lossless where the format can be. Metadata and profiles are left out.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyvips

_LOSSLESS = 100
_KEEP_NONE = 0  # VIPS_FOREIGN_KEEP_NONE: no EXIF, no XMP, no profile
_AVIF_EFFORT = 1
"""15 MP on one core: effort 0 and 1 take 1.0 s, 2 takes 2.5 s, 4 takes 14 s, for 218, 186, 124 and 110 kB."""
_GIF_EFFORT = 1
"""15 MP on one core: effort 1 takes 3.8 s, 7 takes 6.4 s."""


def _jpeg(image: "pyvips.Image", path: str, quality: int) -> None:
    image.jpegsave(path, Q=max(1, quality), optimize_coding=True, keep=_KEEP_NONE)


def _png(image: "pyvips.Image", path: str, quality: int) -> None:
    if quality < _LOSSLESS:
        image.pngsave(path, palette=True, Q=quality, effort=1, keep=_KEEP_NONE)
    else:
        image.pngsave(path, keep=_KEEP_NONE)


def _webp(image: "pyvips.Image", path: str, quality: int) -> None:
    image.webpsave(path, Q=quality, keep=_KEEP_NONE)


def _avif(image: "pyvips.Image", path: str, quality: int) -> None:
    image.heifsave(path, compression="av1", Q=max(1, quality), effort=_AVIF_EFFORT, keep=_KEEP_NONE)


def _gif(image: "pyvips.Image", path: str, quality: int) -> None:
    bits = max(1, -(-8 * quality // _LOSSLESS))
    image.gifsave(path, bitdepth=bits, effort=_GIF_EFFORT, keep=_KEEP_NONE)


def _tiff(image: "pyvips.Image", path: str, quality: int) -> None:
    if quality < _LOSSLESS and not image.hasalpha():
        image.tiffsave(path, compression="jpeg", Q=max(1, quality), keep=_KEEP_NONE)
    else:
        image.tiffsave(path, compression="deflate", predictor="horizontal", keep=_KEEP_NONE)


ENCODERS: dict[str, Callable[["pyvips.Image", str, int], None]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "avif": _avif,
    "gif": _gif,
    "tiff": _tiff,
}
