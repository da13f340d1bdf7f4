"""Files are recognised by their bytes, and those that the service does not read are named."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from imaging import exif
from service_kit.errors import UnprocessableImage, UnsupportedImage
from tests.fidelity.rendering import opened, rendered
from tests.files import header_of


def saved(fmt: str, mode: str = "RGB", **options: object) -> bytes:
    body = io.BytesIO()
    Image.new(mode, (32, 24), 200 if mode in {"L", "1"} else (200, 100, 50)).save(body, fmt, **options)
    return body.getvalue()


def branded(major: bytes, *compatible: bytes) -> bytes:
    """An AVIF with other brands."""
    body = saved("AVIF")
    brands = major + bytes(4) + b"".join(compatible)
    size = int.from_bytes(body[:4])
    moved = len(brands) + 8 - size
    box = struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands
    rest = body[size:]
    if moved:  # offsets in iloc are from the start of the file
        place = rest.index(b"iloc")
        at = rest.index(struct.pack(">I", body.index(b"mdat") + 4), place)
        offset = int.from_bytes(rest[at : at + 4]) + moved
        rest = rest[:at] + struct.pack(">I", offset) + rest[at + 4 :]
    return box + rest


@pytest.mark.parametrize(
    "brands",
    [(b"avif", b"mif1"), (b"mif1", b"avif"), (b"miaf", b"mif1", b"avif"), (b"MA1B", b"miaf", b"avif", b"mif1")],
)
def test_an_avif_may_have_another_major_brand(tmp_path: Path, brands: tuple[bytes, ...]) -> None:
    assert opened(rendered(tmp_path, branded(*brands), "thumb=16")).size == (16, 12)


def test_an_avif_sequence_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("red", "lime", "blue")]
    body = io.BytesIO()
    frames[0].save(body, "AVIF", save_all=True, append_images=frames[1:], duration=100)
    assert body.getvalue()[8:12] == b"avis"
    red, green, blue = opened(rendered(tmp_path, body.getvalue(), "thumb=16")).convert("RGB").getpixel((5, 5))
    assert (red > 240, green < 10, blue < 10) == (True, True, True)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC image"),
        (b"\xff\x0a\xfa\x7f", "a JPEG XL image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\n<!-- x -->\n<svg/>', "an SVG drawing"),
        (saved("BMP"), "a BMP image"),
        (saved("ICO"), "an icon"),
        (saved("PPM"), "a Netpbm image"),
        (saved("PDF"), "a PDF document"),
        (saved("JPEG2000"), "a JPEG 2000 image"),
        (saved("DDS"), "a DirectDraw texture"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "a video"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "a video"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01", "a video"),
        (b"<!doctype html><html>", "a web page"),
        (b"PK\3\4\x14", "an archive"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, body: bytes, name: str) -> None:
    (tmp_path / "file").write_bytes(body)
    with pytest.raises(UnsupportedImage, match=f"the file is {name}.*; send one of: .*jpeg"):
        header_of(tmp_path / "file")


def test_what_nobody_knows_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello")
    with pytest.raises(UnsupportedImage, match="the file is not an image in a supported format"):
        header_of(tmp_path / "file")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_of_a_png_may_be_behind_its_pixels(
    tmp_path: Path, orientation: int, order: str, *, late: bool
) -> None:
    head = b"II*\0" if order == "<" else b"MM\0*"
    content = head + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    chunk = struct.pack(">I", len(content)) + b"eXIf" + content
    chunk += struct.pack(">I", zlib.crc32(chunk[4:]))
    body = saved("PNG")
    place = body.index(b"IEND" if late else b"IDAT") - 4
    (tmp_path / "image").write_bytes(body[:place] + chunk + body[place:])
    assert header_of(tmp_path / "image").orientation == orientation
    found = opened(rendered(tmp_path, body[:place] + chunk + body[place:], "rotate=0"))
    assert found.size == ((24, 32) if orientation > 4 else (32, 24))


@pytest.mark.parametrize("content", [b"", b"II*\0", b"MM\0*\0\0\0\x08\xff\xff", b"II*\0\xff\xff\xff\xff"])
def test_exif_data_that_ends_early_has_no_orientation(content: bytes) -> None:
    assert exif.orientation(content) == 0
    assert exif.orientation(b"Exif\0\0" + content) == 0


@pytest.mark.parametrize("bits", [2, 12, 16])
def test_a_jpeg_with_other_than_8_bits_is_refused_at_the_upload(tmp_path: Path, bits: int) -> None:
    body = saved("JPEG")
    place = body.index(b"\xff\xc0") + 4
    (tmp_path / "image").write_bytes(body[:place] + bytes([bits]) + body[place + 1 :])
    with pytest.raises(UnprocessableImage, match=f"has {bits} bits per sample; save it with 8"):
        header_of(tmp_path / "image")


@pytest.mark.parametrize("compression", ["lzma", "zstd"])
def test_a_tiff_that_cannot_be_unpacked_is_refused_at_the_upload(tmp_path: Path, compression: str) -> None:
    (tmp_path / "image").write_bytes(saved("TIFF", compression=compression))
    with pytest.raises(UnprocessableImage, match=r"TIFF compression \d+, which is not supported; save it with LZW"):
        header_of(tmp_path / "image")


@pytest.mark.parametrize(
    ("mode", "compression"),
    [
        *((mode, name) for mode in ("RGB", "L") for name in ("raw", "tiff_lzw", "jpeg", "tiff_deflate", "packbits")),
        *(("1", name) for name in ("raw", "group3", "group4", "tiff_ccitt", "packbits")),
    ],
)
def test_other_tiffs_are_rendered(tmp_path: Path, mode: str, compression: str) -> None:
    assert opened(rendered(tmp_path, saved("TIFF", mode, compression=compression), "rotate=90")).size == (24, 32)
