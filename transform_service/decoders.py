"""How images are read: whole, or as much of them as a smaller result needs. In renderer processes only.

Colours stay as they are, and so does the orientation: the turns are steps of the plan.
"""

from collections.abc import Callable
from pathlib import Path

from service_kit import vips
from service_kit.vips import pyvips
from transform_service import pillow, progressive
from transform_service.geometry import Size
from transform_service.operations.resize import Resize
from transform_service.plan import Stored

_PEEKED_ROWS = 16
_CHEAP_TO_PEEK = {"png", "tiff"}
"""The first rows of a file that is not interlaced are there before the rest is read."""
_OPAQUE = 255


def whole(source: Path, fmt: str, page: int = 0) -> pyvips.Image:
    """All pixels of a frame, to be read once, from top to bottom."""
    return vips.load(source, fmt, **_page(page))


def scaled(source: Path, stored: Stored, page: int, resize: Resize) -> pyvips.Image:
    """A frame after a plain downscale, of which the decoder does what it can.

    To the pixels of libvips' `thumbnail`, but for what progressive.py and _scaled say; `thumbnail` looks
    for the loader of each file anew, 1 ms long, reads a TIFF's other pages as levels of a pyramid, and its
    `output_profile` converts untagged images too, from sRGB to sRGB: 44 ms instead of 14 for 4 MP to 512 pixels.
    """
    if stored.format == "jpeg":
        return resize.apply(_jpeg(source, stored, int(resize.decoder_shrink(stored.format, stored.size))))
    if stored.format == "webp":
        return _webp(source, stored.size, page, resize)
    if stored.format == "avif":
        return _avif(source, page, resize)

    def read() -> pyvips.Image:
        return whole(source, stored.format, page)

    return _scaled(read, resize) if stored.format in _CHEAP_TO_PEEK and not stored.progressive else resize.apply(read())


def _jpeg(source: Path, stored: Stored, shrink: int) -> pyvips.Image:
    if shrink == 1:
        return vips.load(source, stored.format)
    if stored.progressive and (file := progressive.needed(source, shrink)):
        decoded = pillow.progressive_jpeg(file, stored.size, shrink)
        if decoded is not None:
            return decoded
    return vips.load(source, stored.format, shrink=shrink)


def _webp(source: Path, size: Size, page: int, resize: Resize) -> pyvips.Image:
    """The decoder scales to any size, by one factor for both sides: that of the longer, or else the larger one."""
    target = resize.output_size(size)
    across, down = target.width / size.width, target.height / size.height
    enough = max(across, down)
    along = across if target.width >= target.height else down
    if along < enough and along * min(size.width, size.height) >= 1:  # a side of less than a pixel is refused
        image = vips.load(source, "webp", scale=along, **_page(page))
        if (image.width, image.height) == (target.width, target.height):
            return image
    image = vips.load(source, "webp", scale=enough, **_page(page))
    return image if (image.width, image.height) == (target.width, target.height) else resize.apply(image)


def _avif(source: Path, page: int, resize: Resize) -> pyvips.Image:
    """An AVIF file may hold a smaller image beside the image, which is enough where it is large enough."""
    image = vips.load(source, "avif", **_page(page))
    small = vips.load(source, "avif", thumbnail=True, **_page(page))
    found, original = Size(small.width, small.height), Size(image.width, image.height)
    if found != original and found.contains(resize.output_size(original)):
        return resize.apply(small)
    return resize.apply(image)


def _scaled(read: Callable[[], pyvips.Image], resize: Resize) -> pyvips.Image:
    """Scale what `read` opens, without premultiplying where alpha turns out to be full everywhere.

    A third of the work of a large PNG with alpha is to multiply its colours with their alpha, in floating point, and
    most photos with alpha use none. Whether one does shows in the result: where the alpha of a scaled pixel is full,
    less than 1/510 of what went into it was transparent, which moves no colour by a step. The first rows tell of most
    images that are transparent somewhere; the others are read twice.
    """
    image = read()
    if image.hasalpha() and image.format == "uchar":
        if _is_opaque(image.crop(0, 0, image.width, min(_PEEKED_ROWS, image.height))):
            small = resize.apply_to_opaque(read()).copy_memory()
            if _is_opaque(small):
                return small
        image = read()
    return resize.apply(image)


def _is_opaque(image: pyvips.Image) -> bool:
    return bool(image.extract_band(image.bands - 1).min() == _OPAQUE)


def _page(page: int) -> dict[str, int]:
    return {"page": page} if page else {}
