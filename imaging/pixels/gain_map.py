"""The gain map of an Ultra HDR image, which libvips reads and writes, and which goes wherever the image goes.

While an image is transformed, its gain map is a picture among its metadata: a smaller one of the same area.
"""

import logging
from mmap import mmap
from typing import Any

from imaging.formats import Format
from imaging.pixels import vips
from imaging.pixels.vips import pyvips

_IMAGE, _FILE = "gainmap", "gainmap-data"
_PARAMETERS = "gainmap-"
_KEEP_NOTHING, _KEEP_GAIN_MAP = 0, 1 << 5
_FILE_QUALITY = 85
"""Steps in a gain map show as bands in the sky."""


def attach(image: pyvips.Image, data: bytes | mmap, fmt: Format, most_pixels: int) -> pyvips.Image:
    """The image with the gain map of its file, or without it if that is damaged: the image itself is whole."""
    log = logging.getLogger("pyvips")
    try:
        log.disabled = True  # warnings about the gain map are not about the image
        return _with_map(image, data, fmt, most_pixels)  # which frees its decoders: some only warn then
    except pyvips.Error:
        pyvips.vips_lib.vips_error_clear()
    finally:
        log.disabled = False
    return image


def _with_map(image: pyvips.Image, data: bytes | mmap, fmt: Format, most_pixels: int) -> pyvips.Image:
    source = vips.load(data, fmt.reader.gain_map_loader)
    content: Any = source.get(_FILE)
    picture = pyvips.Image.jpegload_buffer(content, fail_on="warning")
    if picture.width * picture.height > most_pixels or picture.bands not in {1, 3}:
        return image
    described, trial = image.copy(), pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    for name in source.get_fields():
        if name.startswith(_PARAMETERS) and name != _FILE:
            for each in (described, trial):
                each.set_type(source.get_typeof(name), name, source.get(name))
    # libultrahdr reads parameters that it then refuses to write.
    encoded(replaced(trial, pyvips.Image.black(1, 1))).jpegsave_buffer(keep=_KEEP_GAIN_MAP)
    return replaced(described, picture.copy_memory())


def of(image: Any) -> pyvips.Image | None:
    """The gain map of an image."""
    return image.get(_IMAGE) if image.get_typeof(_IMAGE) else None


def replaced(image: pyvips.Image, picture: pyvips.Image) -> pyvips.Image:
    """The image with another gain map."""
    image = image.copy()
    image.set_type(pyvips.GValue.image_type, _IMAGE, picture)
    return image


def encoded(image: pyvips.Image) -> pyvips.Image:
    """The image with its gain map as a file, which is what libvips writes."""
    picture = of(image)
    if picture is None:
        return image
    image = image.copy()
    image.remove(_IMAGE)
    body: Any = picture.jpegsave_buffer(Q=_FILE_QUALITY, keep=_KEEP_NOTHING)
    image.set_type(pyvips.GValue.blob_type, _FILE, body)
    return image
