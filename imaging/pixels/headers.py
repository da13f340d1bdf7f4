"""Reads the headers of image files. Pixels are decoded only if nothing else tells whether they are all there."""

import os
from mmap import mmap
from typing import Any, BinaryIO

from imaging.formats import BROKEN, FORMATS, SNIFF_BYTES, Format, InputLimits, sniff
from imaging.header import Header
from imaging.pixels import vips
from imaging.pixels.colour import is_supported
from imaging.unsupported import kind_of
from service_kit.errors import UnprocessableImage, UnsupportedImage

_RGB = 3
_SAMPLE_BYTES = {"uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4, "float": 4, "double": 8}
"""By libvips' names. Its other samples are complex numbers."""
_MOST_FRAMES = 1_000_000


def read_header(file: BinaryIO, limits: InputLimits, page: int = 0) -> Header:
    """The header of the image in `file`, or of one `page` of it.

    Raises UnsupportedImage if the bytes are not of a supported format, and UnprocessableImage if the header is broken,
    if it promises more than `limits` allow, or if the file ends too early.
    """
    fmt = _sniffed(os.pread(file.fileno(), SNIFF_BYTES, 0))
    data = vips.mapped(file)
    held_bytes = _check_structure(data, fmt, limits)
    read = fmt.reader.readable(data)
    if read.data is not data:
        held_bytes += len(read.data)
    page = read.pages[page] if read.pages else page
    with vips.decoding("the image"):
        image = vips.load(read.data, fmt.reader.loader, **({"page": page} if page else {}))
        header = _header(fmt, image, data, held_bytes)
    if read.pages:
        header = header.model_copy(update={"frames": len(read.pages)})
    header.check(limits)
    if read.added:
        with vips.decoding("the image", fmt):
            vips.load(read.data, fmt.reader.loader, fail_on="error").avg()
    return header


def _sniffed(head: bytes) -> Format:
    fmt = sniff(head)
    if fmt is None:
        kind = kind_of(head)
        what = f"the file is {kind}" if kind else "the file is not an image in a supported format"
        raise UnsupportedImage(f"{what}; send one of: {', '.join(FORMATS)}")
    return fmt


def _check_structure(data: mmap, fmt: Format, limits: InputLimits) -> int:
    """Run the format's own check. It ends at truncated or malformed data: libvips reports what is wrong with that.

    Returns the bytes that the decoder holds in addition to pixels.
    """
    try:
        return fmt.reader.check(data, limits)
    except BROKEN:
        return len(data)


def _header(fmt: Format, image: Any, data: mmap, held_bytes: int) -> Header:
    if image.format not in _SAMPLE_BYTES:
        raise UnprocessableImage(
            f"the image has samples of the kind {image.format!r}; save it with 8 or 16 bits per sample"
        )
    if not is_supported(image):
        raise UnprocessableImage(
            f"the image has {image.bands} bands of {image.interpretation} colours with {image.format} samples, which"
            " cannot be converted; save it as RGB with 8 or 16 bits per sample"
        )
    orientation = _integer(image, "orientation", 0) or fmt.reader.orientation(data)
    gain_map_pixels = fmt.reader.gain_map(data) if image.bands >= _RGB else 0  # libultrahdr writes no grey images
    return Header(
        format=fmt.name,
        width=image.width,
        height=image.height,
        frames=max(1, _integer(image, "n-pages", 1)),
        orientation=orientation if 1 <= orientation <= 8 else 1,  # noqa: PLR2004
        colour_space=image.interpretation,
        alpha=image.hasalpha(),
        progressive=bool(_integer(image, "interlaced", 0)),
        bands=image.bands,
        sample_bytes=_SAMPLE_BYTES[image.format],
        held_bytes=held_bytes,
        unread_frames=_unread_frames(data, fmt),
        gain_map_pixels=gain_map_pixels if gain_map_pixels <= image.width * image.height else 0,
    )


def _unread_frames(data: mmap, fmt: Format) -> int:
    try:
        return min(fmt.reader.unread_frames(data), _MOST_FRAMES)
    except BROKEN:
        return 0


def _integer(image: Any, name: str, default: int) -> int:
    return int(image.get(name)) if image.get_typeof(name) else default
