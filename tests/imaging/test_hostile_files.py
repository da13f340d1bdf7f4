"""Files with too much text or too many chunks, frames or pages are refused quickly, by their structure."""

import struct
import time
import zlib
from pathlib import Path

import pytest

from imaging.formats import InputLimits, sniff
from imaging.pixels.headers import _check_structure
from service_kit.errors import UnprocessableImage
from tests import pictures
from tests.files import mapped

GIF_HEAD = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
GIF_FRAME = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
MOST_BYTES = 60_000_000


def _tiff(pages: int, order: str, last: int = 0) -> bytes:
    """A TIFF (or a BigTIFF, if `order` has two characters) of empty directories; the last one points to `last`."""
    big, order = len(order) == 2, order[0]
    count, pointer = ("Q", "Q") if big else ("H", "I")
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if big else 42)
    head += struct.pack(f"{order}HHQ", 8, 0, 16) if big else struct.pack(f"{order}I", 8)
    step = struct.calcsize(f"={count}{pointer}")
    nexts = [len(head) + step * (n + 1) for n in range(pages - 1)] + [last]
    return head + b"".join(struct.pack(f"{order}{count}{pointer}", 0, place) for place in nexts)


def _webp(chunk: bytes, count: int) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(chunk) * count) + b"WEBP" + chunk * count


def _broken_text(chunks: int) -> bytes:
    """Texts with wrong checksums, which decoders decompress nevertheless."""
    text = b"k\0\0" + zlib.compress(bytes(1_000_000), 9)[:-4] + b"XXXX"
    image = bytes(pictures.gradient(8, 8).pngsave_buffer())
    return image[:33] + pictures.chunk(b"zTXt", text) * chunks + image[33:]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (GIF_HEAD + GIF_FRAME * (MOST_BYTES // len(GIF_FRAME)), "100 frames"),
        (GIF_HEAD + b"!\xfe" + b"\1a" * (MOST_BYTES // 2), "blocks"),
        (GIF_HEAD + b"!\xfe\0" * (MOST_BYTES // 3), "blocks"),
        (GIF_HEAD + GIF_FRAME * 101, "100 frames"),
        (_tiff(500_000, "<"), "100 frames"),
        (_tiff(101, ">"), "100 frames"),
        (_tiff(101, "<<"), "100 frames"),
        (_tiff(101, ">>"), "100 frames"),
        (_webp(b"ANMF\1\0\0\0x\0", MOST_BYTES // 10), "100 frames"),
        (_webp(b"what\0\0\0\0", MOST_BYTES // 8), "chunks"),
        (pictures.PNG_HEAD + pictures.chunk(b"aaAa", b"") * (MOST_BYTES // 12), "chunks"),
        (_broken_text(1000), "MiB of metadata"),
    ],
    ids=[
        "frames",
        "blocks",
        "extensions",
        "101",
        "pages",
        "big-endian",
        "big",
        "big big-endian",
        "webp",
        "webp chunks",
        "chunks",
        "text",
    ],
)
def test_a_hostile_structure_is_refused_quickly(tmp_path: Path, body: bytes, text: str) -> None:
    started = time.process_time()
    with pytest.raises(UnprocessableImage, match=text):
        _check(tmp_path, body)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "body",
    [
        GIF_HEAD + GIF_FRAME * 100 + b";" + GIF_FRAME * 9,
        GIF_HEAD + GIF_FRAME * 100,
        GIF_HEAD[:12],
        pictures.animation(100),
        pictures.animation(100, suffix=".webp"),
        _webp(b"ANMF\0\0\0\0", 100) + b"ANMF\0\0\0\0" * 9,
        _webp(b"ANMF\xff\xff\xff\xff", 100),
        _tiff(100, "<"),
        _tiff(100, ">>"),
        _tiff(9, "<", last=8),
        _tiff(9, "<<", last=2**64 - 1),
        b"II*\0" + struct.pack("<IH", 8, 65535),
        b"MM\0+\0\x08\0\0" + struct.pack(">QQ", 16, 2**64 - 1),
        bytes(pictures.noise(500, 400).pngsave_buffer()) + pictures.chunk(b"tEXt", bytes(9_000_000)),
        _broken_text(3),
        pictures.png_header(9, 9)[:40],
    ],
)
def test_other_files_are_left_to_the_decoder(tmp_path: Path, body: bytes) -> None:
    _check(tmp_path, body)


def _check(folder: Path, body: bytes) -> None:
    file = folder / "image"
    file.write_bytes(body)
    fmt = sniff(body)
    assert fmt
    _check_structure(mapped(file), fmt, InputLimits(10**9, 100))
