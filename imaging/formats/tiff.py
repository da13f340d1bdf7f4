"""TIFF 6.0, and BigTIFF."""

import re
import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from mmap import mmap

from imaging.formats.base import (
    KEEP_COLOURS,
    LOSSLESS,
    Format,
    ImageFile,
    Rate,
    Reader,
    Writer,
    register,
)
from imaging.geometry import Size
from imaging.limits import InputLimits
from imaging.scaling import scale_peeking
from imaging.types import Image, Target
from imaging.ycbcr import USUAL_LUMA, USUAL_REFERENCE, YCbCr
from service_kit.errors import UnprocessableImage

_BIG = 43
_MAX_ENTRIES = 1000
"""Of a directory. Cameras and scanners write fewer than 100."""
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_MAX_INTEGERS = 4_000_000
"""Strips or tiles of a page. More do not fit into the memory that libvips allows libtiff."""
_COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32766, 32771, 32773, 32809, 32909, 32946, 34676, 34677, 50001}
"""None, CCITT, LZW, JPEG, Deflate, NeXT, PackBits, ThunderScan, PixarLog, LogLuv and WebP: those of our libtiff."""
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _ROWS, _PLANES = 256, 257, 258, 259, 262, 277, 278, 284
_STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILE_BYTES = 279, 322, 323, 325
_EXTRA, _SAMPLE_FORMAT = 338, 339
_METADATA = {270, 700, 33723, 34377, 34675}
"""Description, XMP, IPTC, Photoshop's resources, profile: libvips copies them."""
_SEPARATE, _PALETTE, _YCBCR, _OLD_JPEG, _JPEG = 2, 3, 6, 6, 7
_WHITE_IS_ZERO, _PREMULTIPLIED, _FLOAT = 0, 1, 3
_HALF, _WORD, _GREY_ALPHA, _RGB, _BYTE = 16, 32, 2, 3, 8
_LUMA, _SUBSAMPLING, _REFERENCE, _RATIONAL = 529, 530, 532, 5
_SUBSAMPLINGS = {(1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4)}
"""Those that libtiff converts, besides the first."""
_AS_RGBA = {_PALETTE, _YCBCR}
_LONG_STRIP, _FEW_ROWS = 128, 16
"""libvips reads longer strips row by row if it can, and caches at least this many rows."""
_DAMAGE = re.compile(
    r"Corrupt JPEG data|Discarding \d+ bytes|Bad code word|Line length mismatch|Premature EO|Buffer overrun"
)
"""Warnings of the decoders for JPEG, PackBits and fax (libtiff's tif_jpeg.c, tif_packbits.c, tif_fax3.h)."""
_STRIPS_HELD, _TILES_DECODED, _COPIES = 6, 3, 4


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a file writes numbers (TIFF 6.0, section 2)."""

    order: str
    count: str
    pointer: str

    @classmethod
    def of(cls, data: mmap) -> "_Layout":
        order = "<" if data[:2] == b"II" else ">"
        big = struct.unpack_from(order + "H", data, 2)[0] == _BIG
        return cls(order, "Q" if big else "H", "Q" if big else "I")

    @property
    def pointer_bytes(self) -> int:
        return struct.calcsize("=" + self.pointer)

    def number(self, kind: str, data: mmap, position: int) -> int:
        return int(struct.unpack_from(self.order + kind, data, position)[0])


@dataclass(frozen=True, slots=True)
class _Entry:
    """A field of a directory: its type, the number of its values, and where they are."""

    kind: int
    count: int
    position: int

    @property
    def bytes(self) -> int:
        return _TYPE_BYTES.get(self.kind, 1) * self.count


def _check(data: mmap, limits: InputLimits) -> int:
    """Limit size, bands, pages, fields and metadata of each page.

    For a TIFF with half a million pages, libvips took 5 s to report their number. It reads bands that nobody sees, and
    a strip or a row of tiles as a whole.
    """
    layout, held, pixels = _Layout.of(data), 0, 0
    for number, position in enumerate(_pages(data, layout), 1):
        limits.check_frames(number)
        page = _Page(data, layout, dict(_entries(data, layout, position)))
        limits.check_size(page.width, page.height)
        pixels += page.width * page.height
        limits.check_pixels(pixels, f"in {number} pages")
        limits.check_bands(page.bands)
        limits.check_metadata(page.metadata)
        page.check_colours()
        if number == 1:
            page.check_support()
        held = max(held, page.held())
    return held


def _pages(data: mmap, layout: _Layout) -> Iterator[int]:
    """The position of each directory in the chain (TIFF 6.0, section 2). A chain that loops ends where it closes."""
    entry = 4 + 2 * layout.pointer_bytes
    seen: set[int] = set()
    position = layout.number(layout.pointer, data, layout.pointer_bytes)
    while position and position not in seen:
        seen.add(position)
        yield position
        entries = layout.number(layout.count, data, position)
        position += struct.calcsize("=" + layout.count) + entries * entry
        position = layout.number(layout.pointer, data, position)


def _entries(data: mmap, layout: _Layout, position: int) -> Iterator[tuple[int, _Entry]]:
    """The fields of a directory, by tag. Raises struct.error if it is not complete."""
    size = layout.pointer_bytes
    entries = layout.number(layout.count, data, position)
    position += struct.calcsize("=" + layout.count)
    layout.number(layout.pointer, data, position + entries * (4 + 2 * size))
    if entries > _MAX_ENTRIES:
        raise UnprocessableImage(
            f"the image has a directory of more than {_MAX_ENTRIES} fields; save it again with another program"
        )
    for start in range(position, position + entries * (4 + 2 * size), 4 + 2 * size):
        tag, kind, count = struct.unpack_from(f"{layout.order}HH{layout.pointer}", data, start)
        value = start + 4 + size
        inside = _TYPE_BYTES.get(kind, 1) * count <= size
        yield tag, _Entry(kind, count, value if inside else layout.number(layout.pointer, data, value))


class _Page:
    """The fields of a page that decide what its decoder holds."""

    def __init__(self, data: mmap, layout: _Layout, entries: dict[int, _Entry]) -> None:
        self._data = data
        self._layout = layout
        self._entries = entries
        self.width, self.height = self._first(_WIDTH, 0), self._first(_HEIGHT, 0)
        self.bands = self._first(_SAMPLES, 1)

    @property
    def metadata(self) -> int:
        """Bytes of profile, XMP and the like."""
        return sum(entry.bytes for tag, entry in self._entries.items() if tag in _METADATA)

    def check_colours(self) -> None:
        """Refuse what libtiff and libvips decode to other colours, without a warning."""
        photometric, compression = self._first(_PHOTOMETRIC, 0), self._first(_COMPRESSION, 1)
        if photometric == _YCBCR and compression not in {_OLD_JPEG, _JPEG} and not self._is_convertible():
            raise UnprocessableImage("the image has YCbCr colours of an unusual kind; save it as RGB")
        if compression == _OLD_JPEG and _TILE_WIDTH in self._entries:
            raise UnprocessableImage(
                "the image has tiles in the old-style JPEG compression (6); save it with JPEG compression (7)"
            )
        for wrong, what in self._misread():
            if wrong:
                raise UnprocessableImage(f"the image has {what}")

    def check_support(self) -> None:
        """Refuse what libvips does not read at all. Other pages, such as overviews, may be like that."""
        if self._first(_PLANES, 1) == _SEPARATE and self.bands > 1 and _TILE_WIDTH in self._entries:
            raise UnprocessableImage("the image has tiles in separate planes; save it with interleaved samples")
        compression = self._first(_COMPRESSION, 1)
        if compression not in _COMPRESSIONS:
            raise UnprocessableImage(
                f"the image has the TIFF compression {compression}, which is not supported; save it with LZW, Deflate,"
                " JPEG (7) or none"
            )

    def _misread(self) -> Iterator[tuple[bool, str]]:
        """Layouts of samples that libvips 8.18 scrambles, and what to do instead."""
        bits, is_float = self._first(_BITS, 1), self._first(_SAMPLE_FORMAT, 1) == _FLOAT
        separate = self._first(_PLANES, 1) == _SEPARATE and self.bands > 1
        premultiplied = self._first(_EXTRA, 0) == _PREMULTIPLIED
        yield (
            separate and self.bands == _GREY_ALPHA,
            "grey and alpha in separate planes; save it with interleaved samples",
        )
        yield separate and is_float and bits == _HALF, "16-bit floats in separate planes; save it with 32-bit floats"
        yield (
            premultiplied and ((bits == _WORD and not is_float) or (is_float and self.bands == _GREY_ALPHA)),
            "premultiplied alpha of a kind that is not read; save it with straight alpha",
        )
        yield (
            is_float and self._first(_PHOTOMETRIC, 1) == _WHITE_IS_ZERO,
            "floating-point samples of which 0 is white; save it with 0 as black",
        )

    def _is_convertible(self) -> bool:
        whole_bytes = self._first(_BITS, 1) == _BYTE and self.bands == _RGB and self._first(_PLANES, 1) != _SEPARATE
        return whole_bytes and self._subsampling() in _SUBSAMPLINGS and self._ycbcr().possible

    def unconverted(self) -> YCbCr | None:
        """The kind of YCbCr, if libvips takes it for RGB: it lets libtiff convert only what is subsampled."""
        ycbcr = self._first(_PHOTOMETRIC, 0) == _YCBCR and self._first(_COMPRESSION, 1) not in {_OLD_JPEG, _JPEG}
        return self._ycbcr() if ycbcr and self._subsampling() == (1, 1) else None

    def _ycbcr(self) -> YCbCr:
        return YCbCr(self._rationals(_LUMA, USUAL_LUMA), self._rationals(_REFERENCE, USUAL_REFERENCE))

    def _subsampling(self) -> tuple[int, int]:
        entry = self._entries.get(_SUBSAMPLING)
        if entry is None:
            return 2, 2
        across, down = struct.unpack_from(self._layout.order + "HH", self._data, entry.position)
        return across, down

    def _rationals(self, tag: int, usual: tuple[float, ...]) -> tuple[float, ...]:
        """As many fractions as `usual`, which is the default."""
        entry = self._entries.get(tag)
        if entry is None or entry.kind != _RATIONAL or entry.count != len(usual):
            return usual
        numbers = struct.unpack_from(f"{self._layout.order}{2 * len(usual)}I", self._data, entry.position)
        return tuple(above / (below or 1) for above, below in zip(numbers[::2], numbers[1::2], strict=True))

    def held(self) -> int:
        """What libtiff and libvips hold at once (tiff2vips.c): fields, and the largest strip or two rows of tiles."""
        fields = _COPIES * sum(min(entry.bytes, len(self._data)) for entry in self._entries.values())
        photometric, compression = self._first(_PHOTOMETRIC, 0), self._first(_COMPRESSION, 1)
        pixel = max(1, self._first(_BITS, 8) // 8) * self.bands
        if photometric in _AS_RGBA or compression == _OLD_JPEG:
            pixel = max(pixel, 4)
        if _TILE_WIDTH in self._entries:
            return fields + self._tiles(pixel) + self._largest(_TILE_BYTES)
        strip = min(self._first(_ROWS, self.height), self.height)
        separate = self._first(_PLANES, 1) == _SEPARATE
        whole = strip <= _LONG_STRIP or separate or photometric == _YCBCR or compression == _OLD_JPEG
        lines = max(_FEW_ROWS, strip if whole else 1)
        return fields + _STRIPS_HELD * lines * self.width * pixel + self._largest(_STRIP_BYTES)

    def _tiles(self, pixel: int) -> int:
        width, height = max(1, self._first(_TILE_WIDTH, 1)), max(1, self._first(_TILE_HEIGHT, 1))
        across = -(-self.width // width)
        cached = min(2 * (1 + self.width // width), across * -(-self.height // height))
        inside = min(width, self.width) * min(height, self.height)
        return (cached * inside + _TILES_DECODED * width * height) * pixel

    def _first(self, tag: int, default: int) -> int:
        entry = self._entries.get(tag)
        if entry is None or entry.kind not in _INTEGERS or not entry.count:
            return default
        return self._layout.number(_INTEGERS[entry.kind], self._data, entry.position)

    def _largest(self, tag: int) -> int:
        """The largest of the packed sizes of all strips or tiles; libtiff reads one as a whole."""
        entry = self._entries.get(tag)
        if entry is None or entry.kind not in _INTEGERS or entry.count > _MAX_INTEGERS:
            return len(self._data)
        sizes = array(_INTEGERS[entry.kind], self._data[entry.position : entry.position + entry.bytes])
        if self._layout.order != "<":
            sizes.byteswap()
        return min(len(self._data), max(sizes, default=0))


def _colour_converted(image: Image, data: mmap, page: int) -> Image:
    layout = _Layout.of(data)
    position = next(islice(_pages(data, layout), page, None), 0)
    try:
        found = _Page(data, layout, dict(_entries(data, layout, position))).unconverted()
    except (struct.error, IndexError):  # libtiff reads it in another way
        return image
    if found is None:
        return image
    rgb = image.linear([1.0] * _RGB, [-black for black in found.black]).recomb(found.matrix)
    return rgb.rint().cast("uchar").copy(interpretation="srgb")


def _damaged(messages: Sequence[str]) -> bool:
    """Whether one of libtiff's decoders filled in pixels."""
    return any(_DAMAGE.search(message) for message in messages)


def _scaled(file: ImageFile, target: Size) -> Image:
    return scale_peeking(file.load, target)


def _save(image: Image, target: Target, quality: int) -> None:
    if quality < LOSSLESS and not image.hasalpha():
        image.tiffsave_target(target, compression="jpeg", Q=max(1, quality), keep=KEEP_COLOURS)
    else:
        image.tiffsave_target(target, compression="deflate", predictor="horizontal", keep=KEEP_COLOURS)


def _write_rate(_pixels: int, _quality: int) -> Rate:
    return Rate(40, 0)


TIFF = register(
    Format(
        name="tiff",
        media_type="image/tiff",
        extensions=("tiff", "tif"),
        signature=re.compile(rb"II[*+]\0|MM\0[*+]"),
        alpha=True,
        reader=Reader(
            loader="tiffload",
            loader_class="Tiff",
            rate=Rate(8, 0),
            check=_check,
            damaged=_damaged,
            colour_converted=_colour_converted,
            scaled=_scaled,
        ),
        writer=Writer(save=_save, rate=_write_rate),
    )
)
