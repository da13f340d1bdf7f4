"""Image formats. Each file defines one record with everything that the service knows about a format."""

import sys

from imaging.formats.base import (
    BROKEN,
    EXTENSIONS,
    FORMATS,
    SNIFF_BYTES,
    Format,
    ImageFile,
    Rate,
    by_extension,
    sniff,
)
from imaging.limits import InputLimits
from service_kit.plugins import discover

discover(sys.modules[__name__])

__all__ = [
    "BROKEN",
    "EXTENSIONS",
    "FORMATS",
    "SNIFF_BYTES",
    "Format",
    "ImageFile",
    "InputLimits",
    "Rate",
    "by_extension",
    "sniff",
]
