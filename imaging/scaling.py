"""Scales pixels to an exact size. These functions run in worker processes."""

from collections.abc import Callable

from imaging.alpha import premultiplied
from imaging.geometry import Size
from imaging.types import Image

_PEEKED_ROWS = 16
_OPAQUE = 255


def shrink_factor(size: Size, target: Size) -> float:
    """How many times smaller `target` is than `size`, in the direction that shrinks least.

    The shorter side counts as half a pixel less, since it may have been rounded up.
    """
    if target.width >= target.height:
        return min(size.width / target.width, size.height / (target.height - 0.5))
    return min(size.height / target.height, size.width / (target.width - 0.5))


def scale(image: Image, target: Size) -> Image:
    """Scale to `target` with Lanczos 3 and premultiplied alpha."""
    return premultiplied(image, lambda pixels: scale_opaque(pixels, target))


def scale_opaque(image: Image, target: Size) -> Image:
    """Scale all of an opaque or premultiplied image, which may have an alpha band, to all of `target`.

    Each direction by its own factor: with one for both, as in libvips' `thumbnail`, a size that is rounded moves the
    picture by up to half a pixel, which costs up to eight points of SSIMULACRA2.
    """
    return image.resize(target.width / image.width, vscale=target.height / image.height)


def scale_map(gain_map: Image, size: Size, target: Size) -> Image:
    """Scale a gain map as its image is scaled from `size` to `target`."""
    return scale(gain_map, _proportional(gain_map, size, target))


def crop_map(gain_map: Image, size: Size, left: int, top: int, target: Size) -> Image:
    """Cut out the part of a gain map that belongs to `target` pixels at a point of its image, which has `size`.

    The part may begin between two of its pixels.
    """
    part = _proportional(gain_map, size, target)
    across, down = gain_map.width / size.width, gain_map.height / size.height
    right, below = part.width / (target.width * across), part.height / (target.height * down)
    return gain_map.affine(
        [right, 0, 0, below],
        oarea=[0, 0, part.width, part.height],
        idx=0.5 - 0.5 / right - left * across,
        idy=0.5 - 0.5 / below - top * down,
        extend="copy",
    )


def _proportional(gain_map: Image, size: Size, target: Size) -> Size:
    return Size(
        max(1, round(gain_map.width * target.width / size.width)),
        max(1, round(gain_map.height * target.height / size.height)),
    )


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


def scale_decoded(image: Image, target: Size) -> Image:
    """Scale an image that its decoder holds as a whole. Skips premultiplying if the alpha band is opaque everywhere.

    `thumb=512` of an AVIF of 15 MP with such a band takes a fifth less time than it would, and one with transparent
    pixels about 5 % more.
    """
    if not image.hasalpha() or image.format != "uchar":
        return scale(image, target)
    pixels = image.copy_memory()  # since they are read twice
    return scale_opaque(pixels, target) if _is_opaque(pixels) else scale(pixels, target)


def without_opaque_alpha(image: Image) -> Image:
    """An image in memory, without its alpha band if that is opaque everywhere."""
    return image.extract_band(0, n=image.bands - 1) if image.hasalpha() and _is_opaque(image) else image


def _is_opaque(image: Image) -> bool:
    return bool(image.extract_band(image.bands - 1).min() == _OPAQUE)
