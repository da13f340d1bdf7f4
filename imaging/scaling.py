"""Scales pixels to an exact size. These functions run in worker processes."""

from collections.abc import Callable

from imaging.geometry import Size
from imaging.types import Image

_UNBOUNDED = 10_000_000
"""A side that does not limit the result: the largest that libvips allows."""
_READY = {"srgb", "b-w"}
_PEEKED_ROWS = 16
_OPAQUE = 255


def shrink_factor(size: Size, target: Size) -> float:
    """How many times smaller `target` is than `size`. Compares the longer side, which is less affected by rounding."""
    return size.width / target.width if target.width >= target.height else size.height / target.height


def scale(image: Image, target: Size) -> Image:
    """Scale to `target` with Lanczos 3 and premultiplied alpha."""
    if image.format == "uchar" and image.interpretation in _READY and not image.hasalpha():
        return scale_opaque(image, target)
    return _scale_any(image, target)


def scale_opaque(image: Image, target: Size) -> Image:
    """Scale an opaque 8-bit image in sRGB or grey. It may have an alpha band.

    Half a millisecond faster than libvips' `thumbnail_image`, which prepares for every other case too.
    """
    across, down = target.width / image.width, target.height / image.height
    even = image.resize(across if target.width >= target.height else down)
    if (even.width, even.height) == (target.width, target.height):
        return even
    return image.resize(across, vscale=down)


def scale_peeking(load: Callable[[], Image], target: Size) -> Image:
    """Scale what `load` opens. Skips premultiplying if the alpha band is opaque everywhere.

    Premultiplying, in floating point, is a third of the work for a large PNG, and most photos with an alpha band are
    opaque. The scaled image shows whether they were: if the alpha of a scaled pixel is full, less than 1/510 of what
    went into it was transparent, too little to change a colour by one step. The first rows reveal most images with
    transparent pixels. The others are read twice.
    """
    image = load()
    if image.hasalpha() and image.format == "uchar":
        if _is_opaque(image.crop(0, 0, image.width, min(_PEEKED_ROWS, image.height))):
            small = scale_opaque(load(), target).copy_memory()
            if _is_opaque(small):
                return small
        image = load()
    return scale(image, target)


def _scale_any(image: Image, target: Size) -> Image:
    """Scale both directions by one factor if that gives the exact size. Otherwise force the size.

    Tries the factor of the longer side first, which is less affected by rounding, then that of the shorter side.
    """
    by_side = [Size(target.width, _UNBOUNDED), Size(_UNBOUNDED, target.height)]
    for box in by_side if target.width >= target.height else reversed(by_side):
        scaled = image.thumbnail_image(box.width, height=box.height, size="both", no_rotate=True)
        if (scaled.width, scaled.height) == (target.width, target.height):
            return scaled
    return image.thumbnail_image(target.width, height=target.height, size="force", no_rotate=True)


def _is_opaque(image: Image) -> bool:
    return bool(image.extract_band(image.bands - 1).min() == _OPAQUE)
