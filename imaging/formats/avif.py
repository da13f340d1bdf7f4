"""AVIF (AV1 Image File Format 1.1)."""

import re

from imaging.formats.base import KEEP_NO_METADATA, Format, ImageFile, Rate, Reader, Writer, register
from imaging.geometry import Size
from imaging.scaling import scale
from imaging.types import Image, Target

EFFORT = 1
"""Out of 9; see docs/adr/0007."""
_LARGE_PIXELS = 4_000_000
"""Larger images are encoded with effort 0, which takes 0.06 instead of 0.2 s per megapixel."""


def _scaled(file: ImageFile, target: Size) -> Image:
    """Use the thumbnail in the file, if there is one and it is at least as large as `target`."""
    image, small = file.load(), file.load(thumbnail=True)
    found, original = Size(small.width, small.height), Size(image.width, image.height)
    return scale(small if found != original and found.contains(target) else image, target)


def _save(image: Image, target: Target, quality: int) -> None:
    effort = EFFORT if image.width * image.height < _LARGE_PIXELS else 0
    image.heifsave_target(target, compression="av1", Q=max(1, quality), effort=effort, keep=KEEP_NO_METADATA)


def _write_rate(pixels: int, _quality: int) -> Rate:
    return Rate(60 if pixels > _LARGE_PIXELS else 200, 20)


AVIF = register(
    Format(
        name="avif",
        media_type="image/avif",
        extensions=("avif",),
        # Looks for the AVIF brands in the ftyp box.
        signature=re.compile(rb".{4}ftyp(?=avif|mif1|msf1)(.{8}(.{4})*?)?avi[fs]", re.DOTALL),
        alpha=True,
        reader=Reader(loader="heifload", loader_class="Heif", rate=Rate(28, 16), scaled=_scaled),
        # The default quality looks about as good as that of JPEG and WebP (imgproxy's and libvips' defaults).
        writer=Writer(save=_save, rate=_write_rate, default_quality=60, auto_rank=2),
    )
)
