"""Leaving out the scans of a progressive JPEG that a smaller result does not need."""

from io import BytesIO
from mmap import mmap
from pathlib import Path

import numpy as np
import pytest
import pyvips

from imaging import jpeg_scans, jpeg_segments
from tests import pictures
from tests.files import mapped

SUBSAMPLED, FULL = "on", "off"


def written(path: Path, picture: pyvips.Image, subsample: str = FULL, quality: int = 95, **options: object) -> Path:
    picture.jpegsave(str(path), Q=quality, interlace=True, subsample_mode=subsample, **options)
    return path


@pytest.fixture(scope="module")
def wallpaper(photo: Path) -> pyvips.Image:
    return pyvips.Image.thumbnail(str(photo), 1600).copy_memory()


def scans(data: bytes) -> int:
    return sum(segment.marker == jpeg_segments.SCAN for segment in jpeg_segments.segments(data))


def needed(path: Path, shrink: int) -> bytes | None:
    """The needed part of the file; None if that is all or unknown."""
    found = jpeg_scans.needed(mapped(path), shrink)
    return found.getvalue() if isinstance(found, BytesIO) else None


def shrunk(data: bytes, shrink: int) -> np.ndarray:
    image = pyvips.Image.jpegload_buffer(data, shrink=shrink, fail_on="warning")
    return pictures.pixels(image)


@pytest.mark.parametrize("subsample", [SUBSAMPLED, FULL])
@pytest.mark.parametrize("grey", [False, True])
def test_scaling_to_an_eighth_is_exact(tmp_path: Path, wallpaper: pyvips.Image, subsample: str, *, grey: bool) -> None:
    path = written(tmp_path / "x.jpg", wallpaper.colourspace("b-w") if grey else wallpaper, subsample)
    kept = needed(path, 8)
    assert kept
    assert scans(kept) < scans(path.read_bytes())
    np.testing.assert_array_equal(shrunk(kept, 8), shrunk(path.read_bytes(), 8))


@pytest.mark.parametrize("quality", [95, 98])
@pytest.mark.parametrize("subsample", [SUBSAMPLED, FULL])
def test_scaling_to_a_quarter_differs_only_in_the_last_bits(
    tmp_path: Path, wallpapers: list[Path], subsample: str, quality: int
) -> None:
    """Measured: a root mean square difference of 0.9 to 1.0 of 255."""
    for number, source in enumerate([path for path in wallpapers if path.suffix == ".jpg"][:6]):
        picture = pyvips.Image.thumbnail(str(source), 2400).colourspace("srgb")
        path = written(tmp_path / f"{number}.jpg", picture, subsample, quality)
        kept = needed(path, 4)
        assert kept
        before, after = shrunk(path.read_bytes(), 4), shrunk(kept, 4)
        assert np.sqrt(((after - before) ** 2).mean()) <= 1.2


def test_last_bits_stay_if_they_matter(tmp_path: Path, wallpaper: pyvips.Image) -> None:
    path = written(tmp_path / "x.jpg", wallpaper, quality=80)
    assert isinstance(jpeg_scans.needed(mapped(path), 4), mmap)


@pytest.mark.parametrize("shrink", [1, 2])
def test_larger_results_need_all_scans(tmp_path: Path, wallpaper: pyvips.Image, shrink: int) -> None:
    path = written(tmp_path / "x.jpg", wallpaper)
    assert isinstance(jpeg_scans.needed(mapped(path), shrink), mmap)


def test_a_baseline_file_is_used_whole(tmp_path: Path, wallpaper: pyvips.Image) -> None:
    wallpaper.jpegsave(str(tmp_path / "x.jpg"))
    assert isinstance(jpeg_scans.needed(mapped(tmp_path / "x.jpg"), 8), mmap)


@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_a_file_with_too_many_segments_or_scans_is_left_to_libvips(
    tmp_path: Path, wallpaper: pyvips.Image, shrink: int
) -> None:
    """libvips refuses endless scans within half a second, and nothing keeps a list of six million segments."""
    path = written(tmp_path / "x.jpg", wallpaper)
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xfe\x00\x02" * 6_000_000 + data[2:])
    assert jpeg_scans.needed(mapped(path), shrink) is None
    last = [segment for segment in jpeg_segments.segments(data) if segment.marker == jpeg_segments.SCAN][-1]
    path.write_bytes(data[: last.end] + data[last.start : last.end] * 20 + data[last.end :])
    assert jpeg_scans.needed(mapped(path), shrink) is None


def test_a_truncated_file_is_left_to_libvips(tmp_path: Path, wallpaper: pyvips.Image) -> None:
    """Its decoder has to notice the error, wherever the file ends."""
    data = written(tmp_path / "x.jpg", wallpaper).read_bytes()
    for share in range(1, 100):
        (tmp_path / "y.jpg").write_bytes(data[: len(data) * share // 100])
        for shrink in (4, 8):
            assert jpeg_scans.needed(mapped(tmp_path / "y.jpg"), shrink) is None


def test_no_broken_byte_causes_a_crash(tmp_path: Path) -> None:
    data = written(tmp_path / "x.jpg", pictures.gradient(64, 64)).read_bytes()
    random = np.random.default_rng(5)
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] = int(random.integers(0, 256))
        (tmp_path / "y.jpg").write_bytes(broken)
        for shrink in (4, 8):
            jpeg_scans.needed(mapped(tmp_path / "y.jpg"), shrink)


def test_unusual_scan_scripts_give_the_same_pixels(tmp_path: Path, wallpaper: pyvips.Image) -> None:
    """mozjpeg's own script has other spectral ranges and no refinement scans."""
    path = written(tmp_path / "x.jpg", wallpaper, optimize_scans=True, trellis_quant=True, optimize_coding=True)
    kept = needed(path, 8)
    if kept:
        np.testing.assert_array_equal(shrunk(kept, 8), shrunk(path.read_bytes(), 8))
