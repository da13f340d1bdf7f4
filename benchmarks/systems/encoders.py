"""The service's own encoder settings, for those who are to do the same work: the one place that reads them."""

import os
from pathlib import Path
from typing import Any

from imaging.encoding import Encoding
from imaging.formats import FORMATS
from transform_service import encoders

AVIF_EFFORT = encoders.AVIF_EFFORT
AVIF_SPEED = 9 - AVIF_EFFORT
"""The same for libaom: libvips' heifsave sets speed = 9 - effort, Pillow takes the speed."""


def quality(fmt: str) -> int:
    """What the service writes when nobody asks for a quality."""
    return Encoding(FORMATS[fmt]).effective_quality


def encode(image: Any, fmt: str, path: Path) -> None:
    """Write a pyvips image as the service's renderer writes it."""
    encoders.ENCODERS[fmt](image, os.fspath(path), quality(fmt))
