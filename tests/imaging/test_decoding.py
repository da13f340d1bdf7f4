"""Reading images, compared with libvips' own loaders and its thumbnail operation."""

from collections.abc import Callable
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

from imaging import jpeg_segments
from imaging.formats import avif
from imaging.geometry import Size
from imaging.pixels import _turbojpeg, decoding, vips
from imaging.pixels.decoding import OpenFile
from imaging.scaling import scale
from service_kit.errors import UnprocessableImage
from tests import pictures
from tests.files import header_of, mapped


@pytest.fixture(scope="module")
def photos(wallpapers: list[Path]) -> list[pyvips.Image]:
    chosen = [path for path in wallpapers if path.suffix == ".jpg"][::6]
    return [pyvips.Image.thumbnail(str(path), 1200).colourspace("srgb").copy_memory() for path in chosen]


def scaled(path: Path, fmt: str, side: int) -> np.ndarray:
    header = header_of(path)
    assert header.format == fmt
    target = header.size.shrunk(header.size.longer / side)
    return pictures.pixels(decoding.scaled(OpenFile(mapped(path), header), target))


def thumbnail(path: Path, side: int) -> np.ndarray:
    return pictures.pixels(pyvips.Image.thumbnail(str(path), side, height=side, size="down"))


@pytest.mark.parametrize("options", [{}, {"subsample_mode": "off"}, {"interlace": True}], ids=str)
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("size", [(1200, 750), (1199, 751), (801, 1203), (1023, 9)])
@pytest.mark.parametrize("shrink", [1, 2, 4, 8])
def test_libjpeg_turbo_and_libvips_decode_jpegs_to_the_same_pixels(
    *,
    tmp_path: Path,
    photos: list[pyvips.Image],
    size: tuple[int, int],
    shrink: int,
    bands: int,
    options: dict[str, Any],
) -> None:
    path = tmp_path / "x.jpg"
    picture = photos[0].thumbnail_image(size[0], height=size[1], size="force")
    picture.colourspace("b-w" if bands == 1 else "srgb").jpegsave(str(path), **options)
    decoded = _turbojpeg.decoded(memoryview(mapped(path)), Size(*size), shrink)
    assert decoded is not None
    expected = pyvips.Image.jpegload(str(path), shrink=shrink)
    assert decoded.interpretation == expected.interpretation
    np.testing.assert_array_equal(pictures.pixels(decoded), pictures.pixels(expected))


def test_a_sampling_that_libjpeg_turbo_does_not_know_is_left_to_libvips(tmp_path: Path) -> None:
    """4:4:1, as a lossless turn of 4:1:1 leaves it."""
    path = tmp_path / "x.jpg"
    data = bytearray(pictures.jpeg(64, 64, subsample_mode="off"))
    frame = data.index(b"\xff\xc0")
    assert data[frame + 11] == 0x11
    data[frame + 11] = 0x14  # the scan is too short for it, which does not matter here
    path.write_bytes(data)
    assert _turbojpeg.decoded(memoryview(mapped(path)), Size(64, 64), 1) is None


@pytest.mark.parametrize("profile", ["none", "srgb", "p3"])
@pytest.mark.parametrize("options", [{}, {"interlace": True}], ids=str)
def test_a_profile_is_found_before_the_pixels(tmp_path: Path, profile: str, options: dict[str, Any]) -> None:
    picture = pictures.gradient(300, 200)
    data = picture.jpegsave_buffer(**options, **({} if profile == "none" else {"profile": profile}))
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    assert jpeg_segments.may_have_profile(data) == (profile != "none")
    loaded = OpenFile(mapped(path), header_of(path)).load_jpeg(data, 1)
    assert loaded is not None
    assert bool(loaded.get_typeof("icc-profile-data")) == (profile != "none")


@pytest.mark.parametrize("interlace", [False, True])
def test_a_cmyk_jpeg_is_left_to_libvips(tmp_path: Path, photos: list[pyvips.Image], *, interlace: bool) -> None:
    path = tmp_path / "x.jpg"
    photos[0].icc_transform("cmyk", input_profile="srgb").jpegsave(str(path), interlace=interlace)
    assert _turbojpeg.decoded(memoryview(mapped(path)), Size(1200, 750), 4) is None
    assert scaled(path, "jpeg", 100).shape[:2] == (63, 100)


@pytest.mark.parametrize("side", [480, 311, 64])
def test_webp_is_scaled_better_than_by_libvips_thumbnail(tmp_path: Path, photos: list[pyvips.Image], side: int) -> None:
    ours, theirs = [], []
    for number, photo in enumerate(photos):
        path = tmp_path / f"{number}.webp"
        photo.webpsave(str(path))
        height, width = thumbnail(path, side).shape[:2]
        whole = pyvips.Image.webpload(str(path))
        best = pictures.pixels(whole.reduce(whole.width / width, whole.height / height)).astype(float)
        ours.append(np.square(scaled(path, "webp", side) - best).mean())
        theirs.append(np.square(thumbnail(path, side) - best).mean())
    assert sum(ours) < sum(theirs) * 0.75, (ours, theirs)


@pytest.mark.parametrize("size", [(720, 1440), (1440, 719), (3, 1999), (1999, 2)])
def test_webp_of_any_shape_gets_the_planned_size(tmp_path: Path, size: tuple[int, int]) -> None:
    pictures.gradient(*size).webpsave(str(tmp_path / "x.webp"))
    for side in (77, 100, 333, max(size) // 2, max(size) - 1):
        target = Size(*size).shrunk(max(size) / side)
        header = header_of(tmp_path / "x.webp")
        image = decoding.scaled(OpenFile(mapped(tmp_path / "x.webp"), header), target)
        assert Size(image.width, image.height) == target


@pytest.mark.parametrize("suffix", ["webp", "jpg"])
@pytest.mark.parametrize(("size", "target"), [((1000, 100), (100, 99)), ((4000, 300), (200, 190))])
def test_a_picture_that_is_squeezed_in_one_direction_keeps_its_detail_in_the_other(
    tmp_path: Path, photos: list[pyvips.Image], size: tuple[int, int], target: tuple[int, int], suffix: str
) -> None:
    path = tmp_path / f"x.{suffix}"
    photos[0].thumbnail_image(size[0], height=size[1], size="force").write_to_file(str(path), Q=95)
    whole = pyvips.Image.new_from_file(str(path))
    best = pictures.pixels(whole.reduce(size[0] / target[0], size[1] / target[1])).astype(float)
    found = decoding.scaled(OpenFile(mapped(path), header_of(path)), Size(*target))
    assert np.sqrt(np.square(pictures.pixels(found) - best).mean()) < 8


def test_a_truncated_avif_is_refused_by_libvips(tmp_path: Path, photos: list[pyvips.Image]) -> None:
    data = photos[0].heifsave_buffer(compression="av1", effort=0)
    path = tmp_path / "x.avif"
    path.write_bytes(data)
    header = header_of(path)
    for share in (50, 90, 99):
        path.write_bytes(data[: len(data) * share // 100])
        with pytest.raises(UnprocessableImage), vips.decoding("the image"):
            decoding.whole(OpenFile(mapped(path), header)).avg()


def test_an_avif_thumbnail_is_used_if_it_is_large_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No available encoder writes thumbnails, so the loader pretends that a small file is one."""
    small, large = tmp_path / "small.avif", tmp_path / "large.avif"
    pictures.gradient(400, 300).heifsave(str(small), compression="av1", effort=0)
    pictures.gradient(1600, 1200).heifsave(str(large), compression="av1", effort=0)
    load = vips.load
    widths: list[int] = []

    def with_thumbnail(data: mmap, loader: str, **options: float) -> pyvips.Image:
        return load(mapped(small) if options.pop("thumbnail", False) else data, loader, **options)

    def remember(image: pyvips.Image, target: Size) -> pyvips.Image:
        widths.append(image.width)
        return scale(image, target)

    monkeypatch.setattr(vips, "load", with_thumbnail)
    monkeypatch.setattr(avif, "scale_decoded", remember)
    assert scaled(large, "avif", 200).shape[:2] == (150, 200)
    assert scaled(large, "avif", 500).shape[:2] == (375, 500)
    assert widths == [400, 1600]


def _opaque(picture: pyvips.Image) -> pyvips.Image:
    return picture.bandjoin(255)


def _hole(picture: pyvips.Image) -> pyvips.Image:
    """Transparent only below the first rows. The hidden green must not shine through."""
    alpha = pyvips.Image.black(picture.width, picture.height) + 255
    hole = alpha.cast("uchar").draw_rect(0, 300, 400, 200, 200, fill=True)
    green = picture.draw_rect([0, 255, 0], 300, 400, 200, 200, fill=True)
    return green.bandjoin(hole)


def _transparent_from_the_top(picture: pyvips.Image) -> pyvips.Image:
    return picture.bandjoin((pyvips.Image.black(picture.width, picture.height) + 9).cast("uchar"))


@pytest.mark.parametrize("alpha", [_opaque, _hole, _transparent_from_the_top])
@pytest.mark.parametrize("fmt", ["png", "tiff", "avif"])
def test_alpha_is_scaled_with_premultiplied_colours(
    tmp_path: Path, photos: list[pyvips.Image], fmt: str, alpha: Callable[[pyvips.Image], pyvips.Image]
) -> None:
    """Exactly as with premultiplied colours in floating point; in 8 bits if nothing is transparent."""
    path = tmp_path / f"x.{fmt}"
    alpha(photos[0]).copy(interpretation="srgb").write_to_file(str(path))
    whole = pyvips.Image.new_from_file(str(path))
    found = scaled(path, fmt, 300)
    across, down = 300 / whole.width, len(found) / whole.height
    premultiplied = whole.premultiply().resize(across, vscale=down).unpremultiply() + 0.5
    expected = whole.resize(across, vscale=down) if alpha is _opaque else premultiplied.cast("uchar")
    assert np.array_equal(found, pictures.pixels(expected))
