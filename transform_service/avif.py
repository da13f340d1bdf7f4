"""AVIF pixels by dav1d, which decodes two to three times as fast as the libaom in libvips' package (docs/adr/0012)."""

from pathlib import Path

from PIL import AvifImagePlugin, Image

from service_kit.vips import pyvips

AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # as many renderers as cores
Image.MAX_IMAGE_PIXELS = None  # limits were checked before, with the header
_PROFILE = "icc-profile-data"
_ORIENTATION = 0x0112


def decode(path: Path, header: pyvips.Image) -> pyvips.Image | None:
    """The pixels of a still image in memory, with its profile; `header` is what libvips has read of it.

    None where the two would differ in more than the rounding of colours (more than 8 bits, parts that are cut off,
    turns), and where it cannot be decoded: libvips is to say why.
    """
    if header.format != "uchar":
        return None
    try:
        with Image.open(path, formats=("AVIF",)) as image:
            bands = len(image.getbands())
            if image.size != (header.width, header.height) or bands < header.bands or _is_turned(image):
                return None
            pixels = image.tobytes()
            profile = image.info.get("icc_profile")
    except (OSError, ValueError, SyntaxError, RuntimeError, MemoryError):
        return None
    decoded = pyvips.Image.new_from_memory(pixels, header.width, header.height, bands, "uchar")
    decoded = decoded.copy(interpretation=header.interpretation if bands == header.bands else "srgb")
    if profile:
        decoded.set_type(pyvips.GValue.blob_type, _PROFILE, profile)
    return decoded


def _is_turned(image: Image.Image) -> bool:
    """Pillow tells of the file's own turns as an orientation, and leaves them to others."""
    return bool(image.getexif().get(_ORIENTATION, 1) != 1)
