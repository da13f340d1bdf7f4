"""Renders a file in this process, and reads the result with Pillow."""

import io
from pathlib import Path

import numpy as np
import pyvips
from PIL import Image

from imaging.formats import FORMATS
from tests.files import header_of, render_file, uncached
from transform_service.chain import parse
from transform_service.planning.plan import OutputLimits
from transform_service.planning.planner import plan

LIMITS = OutputLimits(100_000_000, 16_383)


def rendered(folder: Path, body: bytes, query: str, output: str = "png", limits: OutputLimits = LIMITS) -> bytes:
    """The file that a chain makes of another one."""
    source, target = folder / "source", folder / "target"
    source.write_bytes(body)
    target.unlink(missing_ok=True)
    chain = parse(query, max_operations=20)
    made = plan(chain.operations, FORMATS[output], header_of(source), "", limits).plan
    assert made, "the result is the original"
    with uncached():
        render_file(source, made, target)
    return target.read_bytes()


def opened(body: bytes) -> Image.Image:
    """A file, as Pillow sees it."""
    return Image.open(io.BytesIO(body))


def values(body: bytes) -> np.ndarray:
    """The pixels of a file, as Pillow decodes them: height x width x bands."""
    pixels = np.asarray(opened(body))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def flat(colour: tuple[int, ...], width: int = 40, height: int = 30) -> pyvips.Image:
    """An image of one colour, with 1 to 4 bands."""
    image = pyvips.Image.black(width, height, bands=len(colour)) + list(colour)
    return image.cast("uchar").copy(interpretation="srgb" if len(colour) > 2 else "b-w")
