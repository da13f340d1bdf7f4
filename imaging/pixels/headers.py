"""Reads the headers of image files, without decoding pixels."""

import os
import struct
from contextlib import suppress
from mmap import mmap
from typing import Any, BinaryIO

from imaging.formats import FORMATS, SNIFF_BYTES, Format, InputLimits, sniff
from imaging.header import Header
from imaging.pixels import vips
from service_kit.errors import UnprocessableImage, UnsupportedImage


def read_header(file: BinaryIO, limits: InputLimits, page: int = 0) -> Header:
    """The header of the image in `file`, or of one `page` of it.

    Raises UnsupportedImage if the bytes are not of a supported format, and UnprocessableImage if the header is broken
    or promises more than `limits` allow.
    """
    fmt = _sniffed(os.pread(file.fileno(), SNIFF_BYTES, 0))
    data = vips.mapped(file)
    _check_structure(data, fmt, limits)
    with vips.decoding("the image"):
        image = vips.load(data, fmt.reader.loader, **({"page": page} if page else {}))
        header = _header(fmt.name, image)
    _check_limits(header, limits)
    return header


def _sniffed(head: bytes) -> Format:
    fmt = sniff(head)
    if fmt is None:
        raise UnsupportedImage(f"the file is not an image in a supported format; send one of: {', '.join(FORMATS)}")
    return fmt


def _check_structure(data: mmap, fmt: Format, limits: InputLimits) -> None:
    """Run the format's own check. It ends at truncated or malformed data: libvips reports what is wrong with that."""
    with suppress(IndexError, OverflowError, struct.error):
        fmt.reader.check(data, limits)


def _header(fmt: str, image: Any) -> Header:
    orientation = _integer(image, "orientation", 1)
    return Header(
        format=fmt,
        width=image.width,
        height=image.height,
        frames=max(1, _integer(image, "n-pages", 1)),
        orientation=orientation if 1 <= orientation <= 8 else 1,  # noqa: PLR2004
        colour_space=image.interpretation,
        alpha=image.hasalpha(),
        progressive=bool(_integer(image, "interlaced", 0)),
    )


def _check_limits(header: Header, limits: InputLimits) -> None:
    if header.frames > limits.max_frames:
        raise UnprocessableImage(f"the image has more than {limits.max_frames} frames")
    pixels = header.size.pixels * header.frames
    if pixels > limits.max_pixels:
        size = f"{header.size}" + (f" x {header.frames} frames" if header.frames > 1 else "")
        raise UnprocessableImage(f"the image has {pixels} pixels ({size}); the limit is {limits.max_pixels}")


def _integer(image: Any, name: str, default: int) -> int:
    return int(image.get(name)) if image.get_typeof(name) else default
