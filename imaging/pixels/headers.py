"""Reads the headers of image files, without decoding pixels."""

import struct
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from imaging.formats import FORMATS, SNIFF_BYTES, Format, InputLimits, sniff
from imaging.header import Header
from imaging.pixels import vips
from service_kit.errors import UnprocessableImage, UnsupportedImage


def read_header(path: Path, limits: InputLimits, page: int = 0) -> Header:
    """The header of the image at `path`, or of one `page` of it.

    Raises UnsupportedImage if the bytes are not of a supported format, and UnprocessableImage if the header is broken
    or promises more than `limits` allow.
    """
    fmt = _sniffed(path)
    _check_structure(path, fmt, limits)
    with vips.decoding("the image"):
        image = vips.load(path, fmt.reader.loader, **({"page": page} if page else {}))
        header = _header(fmt.name, image)
    _check_limits(header, limits)
    return header


def _sniffed(path: Path) -> Format:
    with path.open("rb") as file:
        fmt = sniff(file.read(SNIFF_BYTES))
    if fmt is None:
        raise UnsupportedImage(f"the file is not an image in a supported format; send one of: {', '.join(FORMATS)}")
    return fmt


def _check_structure(path: Path, fmt: Format, limits: InputLimits) -> None:
    """Run the format's own check. It ends at truncated or malformed data: libvips reports what is wrong with that."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        try:
            fmt.reader.check(data, limits)
        except (IndexError, OverflowError, struct.error):
            return


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
