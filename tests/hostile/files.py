"""Files that are refused for what their headers and structures say, and files that are just within the limits."""

import struct
import zlib
from collections.abc import Callable

import pyvips

from tests import pictures


def png(width: int, height: int, *, interlaced: bool = False) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, interlaced)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return pictures.PNG_HEAD + b"".join(pictures.chunk(name, body) for name, body in chunks)


def tiff(*entries: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    """A TIFF with these fields: tag, type, count, value."""
    fields = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + fields + bytes(4) + tail


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def avif(*boxes: bytes) -> bytes:
    return box(b"ftyp", b"avif", bytes(4), b"avifmif1") + b"".join(boxes)


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = box(b"moov", body)
    return body


JPEG = pictures.jpeg()
_SIZE = [(256, 4, 1, 9), (257, 4, 1, 9)]


def sof(width: int, height: int) -> bytes:
    place = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:place] + struct.pack(">HH", height, width) + JPEG[place + 4 :]


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + pictures.animation(2)[10:]


def webp(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + canvas
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def interlaced(width: int, height: int) -> bytes:
    """A black PNG, all rows of which a decoder must hold."""
    return bytes(pyvips.Image.black(width, height, bands=3).pngsave_buffer(interlace=True, compression=1))


def blank_avif(width: int, height: int) -> bytes:
    """A black AVIF of 2 kB."""
    black = pyvips.Image.black(width, height, bands=3).copy(interpretation="srgb")
    return bytes(black.heifsave_buffer(compression="av1", effort=0, Q=30))


def with_large_profile(number: int) -> bytes:
    """A PNG of 20 kB with a colour profile of 15 MB, a different one for each number."""
    profile = bytes(pyvips.Image.profile_load("p3"))
    tags = int.from_bytes(profile[128:132])
    end = 132 + 12 * tags
    table = [struct.unpack_from(">4sII", profile, 132 + 12 * each) for each in range(tags)]
    size = len(profile) + 12 + 15_000_000
    table = [(name, start + 12, length) for name, start, length in table] + [(b"zzzz", len(profile) + 12, 15_000_000)]
    entries = b"".join(struct.pack(">4sII", *entry) for entry in table)
    large = struct.pack(">I", size) + profile[4:128] + struct.pack(">I", tags + 1) + entries + profile[end:]
    large += struct.pack(">I", number) + bytes(14_999_996)
    image = bytes(pyvips.Image.black(64, 48, bands=3).copy(interpretation="srgb").pngsave_buffer())
    return image[:33] + pictures.chunk(b"iCCP", b"p\0\0" + zlib.compress(large)) + image[33:]


REFUSED: list[tuple[str, Callable[[], bytes], str]] = [
    (
        "interlaced PNG of 9,999,999 x 10",
        lambda: png(9_999_999, 10, interlaced=True),
        "9999999 x 10 pixels; the limit is 32768",
    ),
    ("PNG of 1,500,000 x 10", lambda: png(1_500_000, 10), "limit is 32768"),
    ("PNG of 32,000 x 32,000", lambda: png(32_000, 32_000), "1024000000 pixels (32000 x 32000)"),
    ("JPEG of 60,000 x 10", lambda: sof(60_000, 10), "limit is 32768"),
    ("JPEG of 30,000 x 30,000", lambda: sof(30_000, 30_000), "900000000 pixels"),
    ("GIF of 65,535 x 2", lambda: gif(65_535, 2), "limit is 32768"),
    ("GIF of 30,000 x 30,000", lambda: gif(30_000, 30_000), "900000000 pixels"),
    ("WebP of 16,777,216 x 2", lambda: webp(1 << 24, 2), "limit is 32768"),
    (
        "AVIF of 99,999 x 9",
        lambda: avif(
            box(b"meta", bytes(4), box(b"iprp", box(b"ipco", box(b"ispe", struct.pack(">III", 0, 99_999, 9)))))
        ),
        "99",
    ),
    ("TIFF of 99,999 x 9", lambda: tiff((256, 4, 1, 99_999), (257, 4, 1, 9)), "limit is 32768"),
    ("TIFF of 32,000 x 32,000", lambda: tiff((256, 4, 1, 32_000), (257, 4, 1, 32_000)), "1024000000 pixels"),
    ("TIFF with 100 bands", lambda: tiff(*_SIZE, (277, 3, 1, 100)), "100 bands; the limit is 8"),
    ("TIFF with 1,000 bands", lambda: tiff(*_SIZE, (277, 3, 1, 1000)), "1000 bands"),
    (
        "TIFF with a profile of 17 MB",
        lambda: tiff(*_SIZE, (34675, 7, 17_000_000, 8), tail=bytes(17_000_000)),
        "16 MiB of metadata",
    ),
    ("TIFF with 1,001 fields", lambda: tiff(*((1000 + n, 3, 1, 0) for n in range(1001))), "1000 fields"),
    ("JPEG with empty segments", lambda: JPEG[:2] + b"\xff\xe1\0\2" * 16_000_000 + JPEG[2:], "4000 segments"),
    (
        "JPEG with more empty segments",
        lambda: JPEG[:20] + b"x" + b"\xff\xe1\0\2" * 16_000_000 + JPEG[20:],
        "4000 segments",
    ),
    ("JPEG with restart markers", lambda: JPEG[:2] + b"\xff\xd0" * 16_000_000 + JPEG[2:], "4000 segments"),
    (
        "JPEG with 19 MB of comments",
        lambda: JPEG[:2] + (b"\xff\xfe\xff\xff" + b"a" * 65533) * 300 + JPEG[2:],
        "16 MiB of metadata",
    ),
    ("JPEG with 71 scans", lambda: JPEG[:-2] + JPEG[JPEG.index(b"\xff\xda") : -2] * 70 + JPEG[-2:], "64 scans"),
    (
        "PNG with 18 MB of palettes",
        lambda: pictures.PNG_HEAD + png(9, 9)[8:33] + pictures.chunk(b"sPLT", bytes(9_000_000)) * 2,
        "16 MiB of metadata",
    ),
    (
        "PNG with empty chunks",
        lambda: pictures.PNG_HEAD + png(9, 9)[8:33] + pictures.chunk(b"fcTL", b"") * 300_000,
        "chunks",
    ),
    (
        "GIF with 18 MB of comments",
        lambda: b"GIF89a" + bytes([9, 0, 9, 0, 0, 0, 0]) + (b"!\xfe" + (b"\xff" + b"a" * 255) * 70_000 + b"\0"),
        "16 MiB of metadata",
    ),
    ("AVIF with empty boxes", lambda: avif(box(b"free") * 300_000), "5000 boxes"),
    (
        "AVIF with empty items",
        lambda: avif(box(b"meta", bytes(4), box(b"iinf", bytes(6), box(b"infe") * 300_000))),
        "5000 boxes",
    ),
    (
        "AVIF with 17 MB of items",
        lambda: avif(box(b"meta", bytes(4), box(b"idat", bytes(17_000_000)))),
        "16 MiB of metadata",
    ),
]
"""A name, the file, and a part of the reason. Files are made when needed, since some have 64 MB."""
