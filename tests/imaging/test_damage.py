"""Damaged files of every format are refused; odd but healthy ones are not."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pyvips

from imaging.formats import sniff
from imaging.pixels import decoding, vips
from service_kit.errors import UnprocessableImage
from tests import pictures
from tests.files import header_of, mapped, uncached

Damage = Callable[[bytes], bytes]


@pytest.fixture(autouse=True)
def no_cache() -> Iterator[None]:
    """See `uncached`."""
    with uncached():
        yield


def _half(body: bytes) -> int:
    return len(body) // 2


def zeros(body: bytes) -> bytes:
    """The second half is zeros."""
    return body[: _half(body)] + bytes(len(body) - _half(body))


def zeros_with_an_end(body: bytes) -> bytes:
    """The second half is zeros, but for the end."""
    return body[: _half(body)] + bytes(len(body) - _half(body) - 64) + body[-64:]


def noise(body: bytes) -> bytes:
    """The second half is noise."""
    return body[: _half(body)] + random.Random(5).randbytes(len(body) - _half(body))


def truncated(body: bytes) -> bytes:
    """The second half is missing."""
    return body[: _half(body)]


def ended(body: bytes) -> bytes:
    """A JPEG that ends in its middle."""
    return body[: _half(body)] + b"\xff\xd9"


@pytest.fixture(scope="module")
def photo(wallpapers: list[Path]) -> pyvips.Image:
    path = next(path for path in wallpapers if path.suffix == ".jpg")
    return pyvips.Image.thumbnail(str(path), 900).colourspace("srgb").copy_memory()


def encoded(photo: pyvips.Image, kind: str) -> bytes:
    suffix, _, options = kind.partition(" ")
    if suffix in {".gif*", ".webp*"}:
        return pictures.animation(5, 200, 150, suffix=suffix[:-1])
    return bytes(photo.write_to_buffer(f"{suffix}[{','.join([*options.split(), 'keep=none'])}]"))


JPEGS = [".jpg", ".jpg optimize_coding=true", ".jpg Q=20 optimize_coding=true", ".jpg interlace=true"]
JPEGS += [".jpg restart_interval=8", ".jpg Q=99 subsample_mode=off"]
KINDS = [
    *JPEGS,
    ".png",
    ".png interlace=true",
    ".webp",
    ".webp lossless=true",
    ".avif effort=0 compression=av1",
    ".gif",
]
KINDS += [".gif interlace=true", ".gif*", ".webp*", ".tif compression=deflate", ".tif compression=lzw"]
KINDS += [".tif tile=true compression=deflate", ".tif compression=jpeg"]


def check(path: Path, body: bytes) -> None:
    """Everything that happens to a file until all of its pixels are known."""
    path.write_bytes(body)
    header = header_of(path)
    with vips.decoding("the image", header.image_format):
        decoding.verify(mapped(path), header)


@pytest.mark.parametrize("damage", [zeros, zeros_with_an_end, truncated])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_its_second_half_is_refused(
    tmp_path: Path, photo: pyvips.Image, kind: str, damage: Damage
) -> None:
    body = encoded(photo, kind)
    check(tmp_path / "image", body)
    with pytest.raises(UnprocessableImage):
        check(tmp_path / "image", damage(body))


@pytest.mark.parametrize("damage", [ended, noise])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_with_a_false_end_is_refused(tmp_path: Path, photo: pyvips.Image, kind: str, damage: Damage) -> None:
    with pytest.raises(UnprocessableImage):
        check(tmp_path / "image", damage(encoded(photo, kind)))


def test_a_broken_tile_is_refused(tmp_path: Path, photo: pyvips.Image) -> None:
    """Of the first tile, the head of its zlib stream."""
    body = encoded(photo, ".tif tile=true compression=deflate")
    with pytest.raises(UnprocessableImage):
        check(tmp_path / "image", body[:8] + b"\0\0" + body[10:])


def test_damage_in_the_last_rows_is_refused(tmp_path: Path, photo: pyvips.Image) -> None:
    """libvips looks at the warnings before each strip of 8 rows, so it misses those of the last one."""
    body = photo.crop(0, 0, 64, 8).jpegsave_buffer(Q=95)
    with pytest.raises(UnprocessableImage):
        check(tmp_path / "image", bytes(body[: len(body) - 40]) + b"\xff\xd9")


def _at(place: int, inserted: bytes) -> Damage:
    return lambda body: body[:place] + inserted + body[place:]


@pytest.mark.parametrize(
    "change",
    [
        _at(20, b"abc"),
        _at(20, b"\0\0\0\0"),
        _at(20, b"\xff\xff\xff"),
        _at(-2, bytes(9)),
        _at(-2, b"\xff" * 9),
        lambda body: body + b"anything",
        lambda body: body + bytes(5000),
        lambda body: body + body,
        lambda body: body.replace(b"JFIF\0\1", b"JFIF\0\3", 1),
    ],
    ids=["bytes", "zeros", "fill", "zeros at the end", "fill at the end", "tail", "zero tail", "twice", "version"],
)
@pytest.mark.parametrize("interlace", [False, True])
def test_a_jpeg_with_bytes_where_they_do_no_harm_is_decoded(
    tmp_path: Path, photo: pyvips.Image, interlace: bool, change: Damage
) -> None:
    check(tmp_path / "image", change(bytes(photo.jpegsave_buffer(interlace=interlace))))


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize(
    ("suffix", "interlace"),
    [
        (".jpg", False),
        (".jpg", True),
        (".png", False),
        (".png", True),
        (".webp", False),
        (".gif", False),
        (".avif", False),
    ],
)
def test_large_areas_of_one_colour_are_no_holes(tmp_path: Path, suffix: str, interlace: bool, bands: int) -> None:
    grey = (pyvips.Image.black(6000, 5000, bands=bands) + 128).cast("uchar")
    blank = grey.copy(interpretation="srgb" if bands > 1 else "b-w")
    blank = blank.draw_rect([0.0] * bands, 3000, 2000, 50, 50, fill=True)
    options: dict[str, object] = {"interlace": interlace} if suffix in {".jpg", ".png"} else {}
    if suffix == ".jpg":
        options["optimize_coding"] = True
    if suffix == ".avif":
        options = {"effort": 0, "compression": "av1"}
    body = bytes(blank.write_to_buffer(suffix, **options))
    assert sniff(body[:64])
    check(tmp_path / "image", body)


def test_a_gif_without_its_last_byte_is_decoded(tmp_path: Path) -> None:
    check(tmp_path / "image", pictures.animation(3)[:-1])


def test_an_error_may_quote_any_bytes_of_the_file(tmp_path: Path) -> None:
    """libheif names a property that it does not know and must not ignore."""
    body = bytearray(pictures.gradient(64, 48).heifsave_buffer(compression="av1", effort=0))
    property_type, associations = body.index(b"pixi"), body.index(b"ipma") + len(b"ipma") + 8 + 2
    body[property_type : property_type + 4] = b"a\xff\x80 "
    for place in range(associations + 1, associations + 1 + body[associations]):
        body[place] |= 0x80
    path = tmp_path / "x.avif"
    path.write_bytes(body)
    with pytest.raises(UnprocessableImage, match="a\N{REPLACEMENT CHARACTER}"), vips.decoding("the image"):
        decoding.verify(mapped(path), header_of(path))


@pytest.mark.parametrize("keyword", ["é".encode("latin1"), "é".encode(), b"\xff\xfe"])
def test_a_name_in_metadata_may_have_any_bytes(tmp_path: Path, keyword: bytes) -> None:
    image = bytes(pictures.gradient(8, 8).pngsave_buffer())
    path = tmp_path / "x.png"
    path.write_bytes(image[:33] + pictures.chunk(b"tEXt", keyword + b"\0text") + image[33:])
    with vips.decoding("the image"):
        assert len(vips.load(mapped(path), "pngload").get_fields()) > 9
