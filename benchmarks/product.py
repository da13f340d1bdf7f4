"""What benchmarks import from the product. The bare loop loads this, so the rest of the imports is in `costs.py`."""

from pathlib import Path

from imaging.encoding import Encoding
from imaging.formats import FORMATS, avif
from imaging.pixels.colour import srgb
from imaging.pixels.vips import pyvips as pyvips  # noqa: PLC0414  # for the other benchmarks
from imgsvc import __version__
from transform_service.operations.base import load_operations

LIBVIPS = f"libvips {'.'.join(str(pyvips.version(part)) for part in range(3))}"
VERSION = f"imgsvc {__version__}, {LIBVIPS}"
EXTENSIONS = {fmt: record.extension for fmt, record in FORMATS.items()}
AVIF_EFFORT = avif.EFFORT
AVIF_SPEED = 9 - AVIF_EFFORT
"""The same for libaom: libvips' heifsave sets speed = 9 - effort; Pillow takes the speed."""


def quality(fmt: str) -> int:
    """The quality that the service uses by default."""
    return Encoding(FORMATS[fmt]).effective_quality


def thumbnail(path: str, side: int, fmt: str, output: Path) -> None:
    """Do what `thumb=SIDE` does, with libvips alone: the same decoding and the same encoder."""
    image = pyvips.Image.thumbnail(path, side, height=side, size="down", fail_on="error")
    with output.open("w+b") as file:
        FORMATS[fmt].encoder.save(srgb(image), pyvips.Target.new_to_descriptor(file.fileno()), quality(fmt))


def examples() -> list[str]:
    """One or more steps of each operation, as in URLs."""
    return [example for operation in load_operations().values() for example in operation.examples]
