"""The record of an image format, and the registry of formats.

Each format has its own file with one record. Records hold functions but do not import libvips: functions
that take pixels run in worker processes, on images that `imaging.pixels` has opened.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from mmap import mmap
from typing import TYPE_CHECKING, BinaryIO, Protocol

from imaging.colours import Colours
from imaging.geometry import Size
from imaging.limits import InputLimits
from imaging.readable import Readable
from imaging.scaling import scale
from imaging.types import Image, Target
from service_kit.errors import NotAcceptable
from service_kit.suggestions import hint

if TYPE_CHECKING:
    from imaging.header import Header

LOSSLESS = 100
"""The quality that means lossless, in formats that support it."""
KEEP_COLOURS = 1 << 3 | 1 << 5
"""For libvips' savers: of what an image has, write the profile and the gain map, but neither EXIF nor XMP nor anything
else (VIPS_FOREIGN_KEEP_ICC, VIPS_FOREIGN_KEEP_GAINMAP). A renderer removes what a plan does not keep."""

BROKEN = (IndexError, KeyError, OverflowError, ValueError, struct.error)
"""What the functions of a format may raise for data that ends too early or is malformed."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The cost of one pixel: nanoseconds of one core, and bytes of memory at the peak."""

    nanoseconds: float
    bytes: float


class ImageFile(Protocol):
    """An image file that is about to be decoded in a worker process."""

    @property
    def data(self) -> bytes | mmap:
        """The bytes that its decoder reads."""

    @property
    def header(self) -> "Header":
        """Its header, already read."""

    def load(self, **options: float) -> Image:
        """Open the file with the libvips loader of its format, which takes the `options`."""

    def load_jpeg(self, data: BytesIO | bytes | mmap, shrink: int) -> Image | None:
        """Decode a JPEG into memory, `shrink` times smaller. None unless the pixels are those of libvips."""


def accept_any(data: mmap, _limits: InputLimits) -> int:
    """Check nothing: for formats whose header bounds the work of a decoder."""
    return len(data)


def as_it_is(data: mmap) -> Readable:
    """Give the file to the decoder."""
    return Readable(data)


def read_all(_data: mmap, _shrink: float) -> float:
    """Read the whole file."""
    return 1.0


def never_damaged(_messages: Sequence[str]) -> bool:
    """Nothing: for decoders that fail if pixels are damaged."""
    return False


def no_colours(_data: mmap) -> Colours | None:
    """None: for formats that describe colours with ICC profiles only."""
    return None


def as_saved(_file: BinaryIO, _image: Image) -> None:
    """Leave the file as it is."""


def as_decoded(image: Image, _data: mmap, _page: int) -> Image:
    """Leave the pixels as they are."""
    return image


def no_orientation(_data: mmap) -> int:
    """None: for formats whose orientation libvips finds wherever it is."""
    return 0


def no_gain_map(_data: mmap) -> int:
    """None: for formats whose gain maps are not kept."""
    return 0


def all_frames_read(_data: mmap) -> int:
    """None: for formats without animations, or whose animations are read."""
    return 0


def never_shrink(_header: "Header", _target: Size) -> float:
    """Do not shrink: for decoders that always read at full size."""
    return 1.0


def rows_stream(_header: "Header", _shrink: float) -> bool:
    """No: only some rows are in memory, or the rates count all of them."""
    return False


def load_whole(file: ImageFile) -> Image:
    """Open the file at its full size."""
    return file.load()


def decode_then_scale(file: ImageFile, target: Size) -> Image:
    """Decode the whole frame, then scale it to `target`."""
    return scale(file.load(), target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How a format is decoded."""

    loader: str
    """The libvips operation that opens a file, such as `jpegload`."""
    loader_class: str
    """The loader's class without `VipsForeignLoad`, such as `Jpeg`. libvips blocks and allows loaders by class."""
    rate: Rate
    """The cost of one pixel of the file."""
    interlaced_rate: Rate | None = None
    """The same for a progressive or interlaced file, if it differs."""
    shrunk_rate: Rate | None = None
    """The same if the decoder shrinks the image by far while it reads."""
    at_once: Callable[["Header", float], bool] = rows_stream
    """Whether all pixels that the decoder delivers, if it makes each side so many times smaller, are in memory before
    anything else happens, in addition to what the rates say."""
    check: Callable[[mmap, InputLimits], int] = accept_any
    """Raises UnprocessableImage for a size or a structure that would cost a decoder too much before it reports the
    size, and for damage that the decoder overlooks. Returns the bytes that the decoder holds in addition to pixels, at
    most: metadata, tables, the largest strip."""
    corrected: Callable[[mmap], Readable] = as_it_is
    """What the decoder gets to read, for files that it would get wrong. May raise BROKEN."""
    damaged: Callable[[Sequence[str]], bool] = never_damaged
    """Whether these messages of libvips mean that it made up pixels: for decoders that only warn about damage."""
    colour_converted: Callable[[Image, mmap, int], Image] = as_decoded
    """Turns the samples of a page into RGB if the decoder should have."""
    colours: Callable[[mmap], Colours | None] = no_colours
    """What the file says about its colours besides an ICC profile. None if that is nothing, or nothing sensible."""
    orientation: Callable[[mmap], int] = no_orientation
    """The EXIF orientation that libvips overlooks; 0 if there is none."""
    unread_frames: Callable[[mmap], int] = all_frames_read
    """The frames of an animation that the decoder leaves out."""
    gain_map: Callable[[mmap], int] = no_gain_map
    """The number of pixels of the gain map in the file; 0 without one."""
    gain_map_loader: str = ""
    """The libvips operation that reads gain maps, such as `uhdrload`."""
    gain_map_loader_class: str = ""
    """Its class, as in `loader_class`."""
    interlacing: str = "interlaced"
    """What a header that says `progressive` is called in this format."""
    share_read: Callable[[mmap, float], float] = read_all
    """The share of an interlaced file that is read to make each side `shrink` times smaller."""
    shrink: Callable[["Header", Size], float] = never_shrink
    """How many times smaller the decoder makes each side for a result of this size."""
    whole: Callable[[ImageFile], Image] = load_whole
    """Opens a frame at its full size, to be read once from top to bottom."""
    scaled: Callable[[ImageFile, Size], Image] = decode_then_scale
    """Decodes a frame and scales it down to exactly `target`. Leaves colours and orientation as they are."""

    def readable(self, data: mmap) -> Readable:
        """What the decoder gets to read: of malformed data, all of it, so that the decoder reports what is wrong."""
        try:
            return self.corrected(data)
        except BROKEN:
            return Readable(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """How a format is encoded, always without metadata."""

    save: Callable[[Image, Target, int], None]
    """Writes the image to a new file, with a quality from 0 to 100."""
    completed: Callable[[BinaryIO, Image], None] = as_saved
    """Adds to the new, open file of an image what its saver leaves out."""
    rate: Callable[[int, int], Rate]
    """The cost of one pixel, given the number of pixels of the result and the quality."""
    alpha_bytes: float = 0.0
    """Bytes of memory in addition, for each pixel of an image with alpha, which has an encoder of its own."""
    max_side: int = 65_500
    """The longest side that the format can have, in pixels."""
    profiles: bool = True
    """Whether files of the format can have an ICC profile."""
    gain_maps: bool = False
    """Whether `save` writes the gain map of an image."""
    default_quality: int = LOSSLESS
    auto_rank: int = 0
    """`format=auto` considers formats above 0 and prefers the highest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """Everything that the service knows about one image format."""

    name: str
    media_type: str
    extensions: tuple[str, ...]
    """The extensions in URLs; the service writes the first."""
    signature: re.Pattern[bytes]
    """Matches the start of a file, within SNIFF_BYTES."""
    alpha: bool
    """Whether the format supports transparency."""
    animated: bool = False
    """Whether the service reads and writes animations in this format."""
    reader: Reader
    writer: Writer | None = None
    """None for a format that the service reads but does not write."""
    substitute: str = "jpeg"
    """The format of variants that name no format, if the service does not write this one."""
    strip: Callable[[mmap, BinaryIO], bool] | None = None
    """Copies a file without its metadata, keeping the encoded pixels. Returns False if that is not possible.

    Expects a file that decodes without errors. Raises struct.error or IndexError for a structure that it
    does not understand. None for a format that has to be encoded again instead.
    """

    def __reduce__(self) -> tuple[Callable[[str], "Format"], tuple[str]]:
        """Pickle the name only; every process has the registry."""
        return _named, (self.name,)

    @property
    def extension(self) -> str:
        """The extension that the service writes."""
        return self.extensions[0]

    @property
    def output(self) -> "Format":
        """The format of variants that name no format: this one if the service writes it."""
        return self if self.writer else FORMATS[self.substitute]

    @property
    def encoder(self) -> Writer:
        """The writer. Raises NotAcceptable if the service does not write this format."""
        if self.writer is None:
            raise NotAcceptable(
                f"{self.name} images can be read but not written; use one of: {', '.join(writable_extensions())}"
            )
        return self.writer


FORMATS: dict[str, Format] = {}
"""All formats by name."""
EXTENSIONS: dict[str, Format] = {}
"""All formats by extension."""
SNIFF_BYTES = 64
"""Bytes at the start of a file that identify its format."""


def _named(name: str) -> Format:
    return FORMATS[name]


def register(fmt: Format) -> Format:
    """Add a format to the registry."""
    FORMATS[fmt.name] = fmt
    EXTENSIONS.update(dict.fromkeys(fmt.extensions, fmt))
    return fmt


def sniff(head: bytes) -> Format | None:
    """The format of a file that begins with `head`, or None if the service does not read it."""
    return next((fmt for fmt in FORMATS.values() if fmt.signature.match(head)), None)


def by_extension(extension: str, *others: str) -> Format:
    """The format that an extension in a URL or `format=` names. Raises NotAcceptable if it is unknown.

    `others` are names that the caller knows besides.
    """
    try:
        return EXTENSIONS[extension.lower()]
    except KeyError:
        known = [*writable_extensions(), *others]
        advice = hint(extension, known)
        if advice.endswith("?"):
            advice += f" Use one of: {', '.join(known)}"
        raise NotAcceptable(f"the format {extension!r} is not supported; {advice}") from None


def writable_extensions() -> Iterator[str]:
    """The extensions that a client may request."""
    return (extension for extension, fmt in EXTENSIONS.items() if fmt.writer)
