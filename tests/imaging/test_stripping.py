"""Removing the metadata of a file without touching its encoded pixels."""

from pathlib import Path

import numpy as np
import pytest
import pyvips

from imaging.formats import EXTENSIONS, Format
from imaging.pixels.stripping import copy_without_metadata
from tests import pictures
from tests.files import mapped
from tests.transform_service.operations.test_operations import rendered

VARIANTS = [
    ("jpg", {"Q": 80}),
    ("jpg", {"Q": 80, "interlace": True}),
    ("jpg", {"Q": 80, "restart_interval": 2}),
    ("png", {}),
    ("png", {"palette": True}),
    ("png", {"interlace": True}),
    ("webp", {"Q": 80}),
    ("webp", {"lossless": True}),
    ("gif", {}),
]


def copied(source: Path, output: Path, fmt: Format) -> bool:
    with output.open("w+b") as target:
        return copy_without_metadata(mapped(source), target, fmt)


def _with_metadata(path: Path, options: dict[str, object], bands: int) -> None:
    picture = pictures.gradient(320, 200, bands).copy()
    picture.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "somebody")
    picture.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x:xmpmeta>somebody</x:xmpmeta>")
    picture.set_type(pyvips.GValue.gstr_type, "png-comment-0-Author", "somebody")
    picture.write_to_file(str(path), **options)


@pytest.mark.parametrize(("suffix", "options"), VARIANTS)
@pytest.mark.parametrize("bands", [3, 4])
def test_metadata_is_removed_and_pixels_stay(
    tmp_path: Path, suffix: str, options: dict[str, object], bands: int
) -> None:
    source, output = tmp_path / f"x.{suffix}", tmp_path / f"y.{suffix}"
    _with_metadata(source, options, 3 if suffix == "jpg" else bands)
    assert suffix == "gif" or b"somebody" in source.read_bytes()
    assert copied(source, output, EXTENSIONS[suffix])
    assert b"somebody" not in output.read_bytes()
    before, after = (pyvips.Image.new_from_file(str(path), fail_on="warning") for path in (source, output))
    np.testing.assert_array_equal(before.numpy(), after.numpy())
    assert not after.get_typeof("exif-data")
    assert not after.get_typeof("xmp-data")


def test_bytes_behind_the_end_of_a_jpeg_are_removed(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(pictures.jpeg() + b"\xff\xd8\xff\xe1 somebody")
    assert copied(tmp_path / "x.jpg", tmp_path / "y.jpg", EXTENSIONS["jpg"])
    assert (tmp_path / "y.jpg").read_bytes().endswith(b"\xff\xd9")
    assert b"somebody" not in (tmp_path / "y.jpg").read_bytes()


def test_animations_keep_their_frames(tmp_path: Path) -> None:
    for suffix in ("gif", "webp"):
        (tmp_path / f"x.{suffix}").write_bytes(pictures.animation(4, suffix=f".{suffix}"))
        assert copied(tmp_path / f"x.{suffix}", tmp_path / f"y.{suffix}", EXTENSIONS[suffix])
        after = pyvips.Image.new_from_file(str(tmp_path / f"y.{suffix}"), n=-1)
        assert after.get("delay") == [100] * 4


@pytest.mark.parametrize("cut", [3, 30, 200, 400])
def test_a_broken_file_is_not_copied(tmp_path: Path, cut: int) -> None:
    for suffix in ("jpg", "png"):
        _with_metadata(tmp_path / f"x.{suffix}", {}, 3)
        body = (tmp_path / f"x.{suffix}").read_bytes()
        (tmp_path / f"x.{suffix}").write_bytes(body[:cut])
        assert not copied(tmp_path / f"x.{suffix}", tmp_path / "y", EXTENSIONS[suffix])


@pytest.mark.parametrize("query", ["thumb=8000", "rotate=0", "crop=8000x8000", "blur=0&flip&flip"])
def test_an_image_with_unchanged_pixels_is_not_encoded_again(tmp_path: Path, query: str) -> None:
    _with_metadata(tmp_path / "x.jpg", {"Q": 30}, 3)
    image = rendered(tmp_path / "x.jpg", query, "jpeg")
    np.testing.assert_array_equal(image.numpy(), pyvips.Image.new_from_file(str(tmp_path / "x.jpg")).numpy())
    assert b"somebody" not in (tmp_path / "x.out.jpeg").read_bytes()
    rendered(tmp_path / "x.jpg", query + "&compress=90", "jpeg")
    assert (tmp_path / "x.out.jpeg").stat().st_size > 2 * (tmp_path / "x.jpg").stat().st_size
