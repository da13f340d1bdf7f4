"""AVIF (AV1 Image File Format 1.1)."""

import re
import struct
from mmap import mmap

from imaging.av1 import SequenceColours, sequence_colours
from imaging.colours import DEFAULT_PEAK, Colours, coded
from imaging.formats.base import KEEP_COLOURS, LOSSLESS, Format, ImageFile, Rate, Reader, Writer, register
from imaging.geometry import Size
from imaging.isobmff import Box, boxes, properties
from imaging.limits import InputLimits
from imaging.scaling import scale_decoded
from imaging.types import Image, Target
from service_kit.errors import UnprocessableImage

EFFORT = 1
"""Out of 9; see docs/adr/0007."""
_LARGE_PIXELS = 4_000_000
"""Larger images are encoded with effort 0, which takes 0.06 instead of 0.2 s per megapixel."""

_MAX_BOXES = 5000
"""A grid has four boxes for each of its items, and libvips decodes 16 items at most."""
_TABLES = {
    b"colr", b"idat", b"iloc", b"infe", b"ipma", b"iref", b"uuid", b"udta", b"stts", b"ctts", b"stsc", b"stsz", b"stz2",
    b"stco", b"co64", b"stss", b"sgpd", b"sbgp", b"saio", b"saiz", b"elst",
}  # fmt: skip
"""Profiles, and what libheif reads into memory before it decodes a picture."""
_COPIES = 4
_CONFIGURATION = 4
"""The bytes of `av1C` before its OBUs."""
_UNSPECIFIED = 2


def _check(data: mmap, limits: InputLimits) -> int:
    """Limit the boxes, the size of each picture in the file, the profiles and the metadata.

    Pictures are the main one, its tiles, its alpha, its thumbnails. All of them have their size in an `ispe` box
    (ISO 23008-12, section 6.5.3), and AV1 its own in the configuration.
    """
    tables = 0
    for number, box in enumerate(boxes(data)):
        if number == _MAX_BOXES:
            raise UnprocessableImage(f"the image has more than {_MAX_BOXES} boxes; save it again with another program")
        if box.name == b"ispe":
            limits.check_size(*struct.unpack_from(">II", data, box.body + 4))
        elif box.name in _TABLES:
            tables += box.end - box.body
            limits.check_metadata(tables)
    return _COPIES * (tables + min(len(data), limits.max_metadata))


def _colours(data: mmap) -> Colours | None:
    """The code points of the main image (`nclx`), which count if it has no profile. Its first tile's if it has none.

    If the file has neither, the AV1 stream may have code points of its own. The stream also says which values alpha
    uses, which libheif overlooks.
    """
    try:
        found = properties(data)
        described = found.main or list(boxes(data))  # a sequence may have no main image
        alpha = _stream(data, found.auxiliary)
        peak = next((struct.unpack_from(">H", data, box.body)[0] for box in described if box.name == b"clli"), 0)
        codes = next((_codes(data, box) for box in described if _is_nclx(data, box)), None) or _stream_codes(
            _stream(data, found.main)
        )
        return coded(*codes, peak=float(peak or DEFAULT_PEAK), full_range_alpha=not alpha or alpha.full_range)
    except (struct.error, IndexError):
        return None


def _is_nclx(data: mmap, box: Box) -> bool:
    return box.name == b"colr" and data[box.body : box.body + 4] == b"nclx"


def _codes(data: mmap, box: Box) -> tuple[int, int]:
    primaries, transfer = struct.unpack_from(">2H", data, box.body + 4)
    return primaries, transfer


def _stream(data: mmap, described: list[Box]) -> SequenceColours | None:
    """The colours in the sequence header, which most configurations (`av1C`) hold."""
    return next(
        (sequence_colours(data[box.body + _CONFIGURATION : box.end]) for box in described if box.name == b"av1C"), None
    )


def _stream_codes(stream: SequenceColours | None) -> tuple[int, int]:
    return (stream.primaries, stream.transfer) if stream else (_UNSPECIFIED, _UNSPECIFIED)


def _unread_frames(data: mmap) -> int:
    """Of a sequence, libheif reads the first picture. The longest track has the colours, others the alpha."""
    counts = [struct.unpack_from(">I", data, box.body + 8)[0] for box in boxes(data) if box.name in {b"stsz", b"stz2"}]
    return max(0, max(counts, default=0) - 1)


def _scaled(file: ImageFile, target: Size) -> Image:
    """Use the thumbnail in the file, if there is one that is at least as large as `target` and has the same bands."""
    image, small = file.load(), file.load(thumbnail=True)
    found, original = Size(small.width, small.height), Size(image.width, image.height)
    enough = found != original and found.contains(target) and small.bands == image.bands
    return scale_decoded(small if enough else image, target)


def _save(image: Image, target: Target, quality: int) -> None:
    effort = EFFORT if image.width * image.height < _LARGE_PIXELS else 0
    image.heifsave_target(
        target,
        compression="av1",
        Q=max(1, quality),
        lossless=quality == LOSSLESS,
        effort=effort,
        keep=KEEP_COLOURS,
    )


def _write_rate(pixels: int, quality: int) -> Rate:
    if quality == LOSSLESS:
        return Rate(220 if pixels > _LARGE_PIXELS else 300, 46)
    return Rate(60 if pixels > _LARGE_PIXELS else 200, 26)


AVIF = register(
    Format(
        name="avif",
        media_type="image/avif",
        extensions=("avif",),
        # Looks for the brands of AVIF in the ftyp box: the major one, or any of the compatible ones.
        signature=re.compile(rb".{4}ftyp(.{8}(.{4})*?)?avi[fs]", re.DOTALL),
        alpha=True,
        reader=Reader(
            loader="heifload",
            loader_class="Heif",
            rate=Rate(28, 18.5),
            check=_check,
            colours=_colours,
            unread_frames=_unread_frames,
            scaled=_scaled,
        ),
        # The default quality looks about as good as that of JPEG and WebP (imgproxy's and libvips' defaults).
        writer=Writer(save=_save, rate=_write_rate, alpha_bytes=24, max_side=16_384, default_quality=60, auto_rank=2),
    )
)
