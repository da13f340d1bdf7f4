"""Sizes, bands, structures and metadata that are refused before a decoder sees them, and that are not."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import pyvips

from imaging.formats import InputLimits
from service_kit.errors import UnprocessableImage
from tests import pictures
from tests.files import header_of
from tests.servers import ROOT

LIMITS = InputLimits(100_000_000, 100)
_LITTLE_MEMORY = """
import resource, sys, time
from pathlib import Path
from imaging.formats import InputLimits
from imaging.pixels import vips
from imaging.pixels.headers import read_header
from service_kit.errors import UnprocessableImage
vips.lock_down()
before = Path("/proc/self/statm").read_text().split()
resource.setrlimit(resource.RLIMIT_DATA, (4096 * int(before[5]) + 30_000_000,) * 2)
started = time.process_time()
try:
    read_header(Path(sys.argv[1]).open("rb"), InputLimits(100_000_000, 100))
except UnprocessableImage as error:
    print(error.detail)
assert time.process_time() - started < 1
"""


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
SIZE = [(256, 4, 1, 9), (257, 4, 1, 9)]


def sof(width: int, height: int) -> bytes:
    place = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:place] + struct.pack(">HH", height, width) + JPEG[place + 4 :]


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + pictures.animation(2)[10:]


def webp(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + canvas
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (png(9_999_999, 10, interlaced=True), "9999999 x 10 pixels; the limit is 32768"),
        (png(1_500_000, 10), "limit is 32768"),
        (png(32_000, 32_000), "1024000000 pixels (32000 x 32000)"),
        (sof(60_000, 10), "limit is 32768"),
        (sof(30_000, 30_000), "900000000 pixels"),
        (gif(65_535, 2), "limit is 32768"),
        (gif(30_000, 30_000), "900000000 pixels"),
        (webp(1 << 24, 2), "limit is 32768"),
        (
            avif(box(b"meta", bytes(4), box(b"iprp", box(b"ipco", box(b"ispe", struct.pack(">III", 0, 99_999, 9)))))),
            "99",
        ),
        (tiff((256, 4, 1, 99_999), (257, 4, 1, 9)), "limit is 32768"),
        (tiff((256, 4, 1, 32_000), (257, 4, 1, 32_000)), "1024000000 pixels"),
        (tiff(*SIZE, (277, 3, 1, 100)), "100 bands; the limit is 8"),
        (tiff(*SIZE, (277, 3, 1, 1000)), "1000 bands"),
        (tiff(*SIZE, (34675, 7, 17_000_000, 8), tail=bytes(17_000_000)), "16 MiB of metadata"),
        (tiff(*((1000 + n, 3, 1, 0) for n in range(1001))), "1000 fields"),
        (JPEG[:2] + b"\xff\xe1\0\2" * 16_000_000 + JPEG[2:], "4000 segments"),
        (JPEG[:20] + b"x" + b"\xff\xe1\0\2" * 16_000_000 + JPEG[20:], "4000 segments"),
        (JPEG[:2] + b"\xff\xd0" * 16_000_000 + JPEG[2:], "4000 segments"),
        (JPEG[:2] + (b"\xff\xfe\xff\xff" + b"a" * 65533) * 300 + JPEG[2:], "16 MiB of metadata"),
        (JPEG[:-2] + JPEG[JPEG.index(b"\xff\xda") : -2] * 70 + JPEG[-2:], "64 scans"),
        (pictures.PNG_HEAD + png(9, 9)[8:33] + pictures.chunk(b"sPLT", bytes(9_000_000)) * 2, "16 MiB of metadata"),
        (pictures.PNG_HEAD + png(9, 9)[8:33] + pictures.chunk(b"fcTL", b"") * 300_000, "chunks"),
        (
            b"GIF89a" + bytes([9, 0, 9, 0, 0, 0, 0]) + (b"!\xfe" + (b"\xff" + b"a" * 255) * 70_000 + b"\0"),
            "16 MiB of metadata",
        ),
        (avif(box(b"free") * 300_000), "5000 boxes"),
        (avif(box(b"meta", bytes(4), box(b"iinf", bytes(6), box(b"infe") * 300_000))), "5000 boxes"),
        (avif(box(b"meta", bytes(4), box(b"idat", bytes(17_000_000)))), "16 MiB of metadata"),
    ],
)
def test_what_would_cost_too_much_is_refused_in_little_memory_and_time(tmp_path: Path, body: bytes, text: str) -> None:
    (tmp_path / "image").write_bytes(body)
    command = [sys.executable, "-c", _LITTLE_MEMORY, str(tmp_path / "image")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert text in done.stdout, done.stderr[-2000:]


def test_boxes_may_be_nested_to_any_depth(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(avif(nested(50_000)))
    with pytest.raises(UnprocessableImage):
        header_of(tmp_path / "image", LIMITS)


def test_complex_samples_are_refused(tmp_path: Path) -> None:
    image = pyvips.Image.black(9, 9).cast("float")
    image.complexform(image).tiffsave(str(tmp_path / "image.tif"))
    with pytest.raises(UnprocessableImage, match=r"samples|unsupported"):
        header_of(tmp_path / "image.tif", LIMITS)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("kind", "size"), [("uchar", 1), ("ushort", 2), ("float", 4)])
def test_a_header_says_what_a_pixel_takes(tmp_path: Path, kind: str, size: int, bands: int) -> None:
    pyvips.Image.black(40, 30, bands=bands).cast(kind).tiffsave(str(tmp_path / "image.tif"))
    header = header_of(tmp_path / "image.tif", LIMITS)
    assert (header.bands, header.sample_bytes, header.pixel_bytes) == (bands, size, bands * size)


def test_the_longest_side_is_allowed(tmp_path: Path) -> None:
    pyvips.Image.black(32_768, 3).pngsave(str(tmp_path / "image.png"))
    assert header_of(tmp_path / "image.png", LIMITS).width == 32_768
