"""How each format is written: one function a format, called in renderer processes.

Quality is 0 to 100; 100 is lossless where the format can be. Metadata and profiles are left out.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyvips

_LOSSLESS = 100
_KEEP_NONE = 0  # VIPS_FOREIGN_KEEP_NONE: no EXIF, no XMP, no profile
_PROGRESSIVE_PIXELS = range(100_000, 4_000_000)
"""Progressive JPEG has 2 to 3 % fewer bytes from 512 x 288 up, and more below; at 2048 x 1152 it takes 20 ms longer."""
_OPTIMIZED_PIXELS = 16_000_000
"""Optimal Huffman tables save 4 % of a JPEG, but all coefficients are kept in memory for it, 3 to 6 bytes a pixel."""
AVIF_EFFORT = 1
"""0 to 9; see docs/adr/0007."""
_AVIF_PIXELS = 4_000_000
"""From here on the effort is 0: 0.06 instead of 0.2 s a megapixel."""
_GIF_EFFORT = 1
"""15 MP on one core: effort 1 takes 3.8 s, 7 takes 6.4 s."""


def _jpeg(image: "pyvips.Image", path: str, quality: int) -> None:
    pixels = image.width * image.height
    image.jpegsave(
        path,
        Q=max(1, quality),
        optimize_coding=pixels <= _OPTIMIZED_PIXELS,
        interlace=pixels in _PROGRESSIVE_PIXELS,
        keep=_KEEP_NONE,
    )


def _png(image: "pyvips.Image", path: str, quality: int) -> None:
    if quality < _LOSSLESS:
        image.pngsave(path, palette=True, Q=quality, effort=1, keep=_KEEP_NONE)
    else:
        image.pngsave(path, keep=_KEEP_NONE)


def _webp(image: "pyvips.Image", path: str, quality: int) -> None:
    image.webpsave(path, Q=quality, keep=_KEEP_NONE)


def _avif(image: "pyvips.Image", path: str, quality: int) -> None:
    effort = AVIF_EFFORT if image.width * image.height < _AVIF_PIXELS else 0
    image.heifsave(path, compression="av1", Q=max(1, quality), effort=effort, keep=_KEEP_NONE)


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
