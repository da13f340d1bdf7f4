"""Recognising sRGB profiles."""

import struct
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import ImageCms

from imaging.pixels._icc import is_srgb
from tests import pictures
from tests.transform_service.operations.test_operations import rendered


def profile(name: str) -> bytes:
    """One of libvips' own profiles, as a file embeds it."""
    image = pictures.gradient(8, 8).icc_transform(name, input_profile="srgb")
    return bytes(image.get("icc-profile-data"))


def test_srgb_is_recognised() -> None:
    assert is_srgb(profile("srgb"))
    assert is_srgb(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def test_a_wide_gamut_is_not_srgb() -> None:
    assert not is_srgb(profile("p3"))


def test_another_tone_curve_is_not_srgb() -> None:
    body = bytearray(profile("srgb"))
    count = struct.unpack_from(">I", body, 128)[0]
    for index in range(count):
        name, start, _ = struct.unpack_from(">4sII", body, 132 + 12 * index)
        if name == b"gTRC":
            body[start : start + 14] = b"curv\0\0\0\0\0\0\0\1" + struct.pack(">H", 460)  # gamma 1.8
    assert not is_srgb(bytes(body))


@pytest.mark.parametrize("body", [b"", bytes(128), bytes(4000), b"\xff" * 4000])
def test_nonsense_is_not_srgb(body: bytes) -> None:
    assert not is_srgb(body)


def test_photos_with_an_srgb_profile_keep_their_colours(wallpapers: list[Path], tmp_path: Path) -> None:
    """As libvips converts them from that profile, but for 1 of 255, or 2 in dark colours."""
    tagged = next(path for path in wallpapers if pyvips.Image.new_from_file(str(path)).get_typeof("icc-profile-data"))
    small = pyvips.Image.thumbnail(str(tagged), 300).copy_memory()
    assert is_srgb(small.get("icc-profile-data"))
    small.write_to_file(str(tmp_path / "x.png"))
    converted = small.icc_transform("srgb", embedded=True)
    distance = np.abs(pictures.pixels(rendered(tmp_path / "x.png", "blur=0&flip&flip")) - pictures.pixels(converted))
    assert distance.max() <= 2
