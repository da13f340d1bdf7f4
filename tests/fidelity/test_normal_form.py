"""Whatever a file holds, operations get 8 bits per band, sRGB or grey, and straight alpha."""

import io
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from service_kit.errors import UnprocessableImage
from tests.fidelity.rendering import opened, rendered, values

P3 = ImageCms.ImageCmsProfile(io.BytesIO(pyvips.Image.profile_load("p3")))
QUERIES = ["rotate=90", "thumb=20", "blur=1", "sharpen=1&thumb=9"]


def tiff(colour: list[float], samples: str, interpretation: str) -> bytes:
    """A TIFF of one colour."""
    image = (pyvips.Image.black(30, 30, bands=len(colour)) + colour).cast(samples)
    return bytes(image.copy(interpretation=interpretation).tiffsave_buffer())


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (([1.0], "float", "b-w"), (255,)),
        (([0.2140], "float", "b-w"), (127,)),
        (([7.5], "float", "b-w"), (255,)),
        (([1.0, 0.5], "float", "b-w"), (255, 127)),
        (([1.0, 0.2140, 0.0], "float", "scrgb"), (255, 127, 0)),
        (([1.0, 0.2140, 0.0, 0.5], "float", "scrgb"), (255, 127, 0, 127)),
        (([65535], "ushort", "grey16"), (255,)),
        (([65535, 32768], "ushort", "grey16"), (255, 128)),
        (([65535, 32768, 0], "ushort", "rgb16"), (255, 128, 0)),
        (([65535, 32768, 0, 32768], "ushort", "rgb16"), (255, 128, 0, 128)),
        (([65535, 32768, 0, 32768, 9], "ushort", "rgb16"), (255, 128, 0, 128)),
        (([2**32 - 1], "uint", "b-w"), (255,)),
        (([2**32 - 1, 2**31, 0], "uint", "srgb"), (255, 128, 0)),
        (([200, 100, 50, 128, 77], "uchar", "srgb"), (200, 100, 50, 128)),
        (([200, 100, 50, 128, 77, 1, 2, 3], "uchar", "srgb"), (200, 100, 50, 128)),
        (([200, 128, 77], "uchar", "b-w"), (200, 128)),
    ],
    ids=str,
)
def test_samples_become_8_bits(
    tmp_path: Path, content: tuple[list[float], str, str], wanted: tuple[int, ...], query: str
) -> None:
    body = tiff(*content)
    found = values(rendered(tmp_path, body, query))
    assert found.shape[2] == len(wanted)
    assert np.abs(found.astype(int) - wanted).max() <= 1
    opaque = values(rendered(tmp_path, body, query, "jpeg"))
    alpha = (wanted[-1] if len(wanted) % 2 == 0 else 255) / 255
    mixed = [255 - alpha * (255 - c) for c in wanted[: 3 if len(wanted) > 2 else 1]]
    assert np.abs(opaque.astype(int) - mixed).max() <= 3


@pytest.mark.parametrize("samples", ["char", "short", "int"])
def test_signed_samples_are_refused_with_the_reason(tmp_path: Path, samples: str) -> None:
    with pytest.raises(UnprocessableImage, match=f"{samples} samples, which cannot be converted; save it as RGB"):
        rendered(tmp_path, tiff([77], samples, "b-w"), "rotate=90")


@pytest.mark.parametrize("extra", [0, 1])
def test_cmyk_may_have_alpha(tmp_path: Path, extra: int) -> None:
    found = values(rendered(tmp_path, tiff([0, 0, 0, 0, 128][: 4 + extra], "uchar", "cmyk"), "thumb=20"))
    assert found.shape[2] == 3 + extra
    assert found[:, :, :3].min() >= 254


@pytest.mark.parametrize("colour", [[40000, 20000, 10000], [40000, 20000, 10000, 32768]])
@pytest.mark.parametrize("query", ["rotate=0", "rotate=90", "thumb=20"])
def test_a_profile_of_16_bit_colours_is_applied(tmp_path: Path, colour: list[int], query: str) -> None:
    """By littleCMS, as Pillow calls it. Without its profile, the image would look different."""
    image = (pyvips.Image.black(30, 30, bands=len(colour)) + colour).cast("ushort").copy(interpretation="rgb16")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", P3.tobytes())
    found = values(rendered(tmp_path, bytes(image.pngsave_buffer(keep="icc")), query))
    eight = Image.new("RGB", (1, 1), tuple(round(value / 257) for value in colour[:3]))
    wanted = ImageCms.profileToProfile(eight, P3, ImageCms.createProfile("sRGB")).getpixel((0, 0))
    assert np.abs(found[3, 3, :3].astype(int) - wanted).max() <= 2
    assert opened(rendered(tmp_path, bytes(image.pngsave_buffer(keep="icc")), query)).info.get("icc_profile") is None


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("query", ["rotate=0", "flop"])
def test_sixteen_bits_become_eight_with_rounding(tmp_path: Path, query: str, bands: int) -> None:
    ramp = np.arange(0, 65536, 37, dtype=np.uint16)
    pixels = np.repeat(np.tile(ramp, (3, 1))[:, :, None], bands, axis=2)
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="grey16" if bands < 3 else "rgb16")
    found = values(rendered(tmp_path, bytes(image.pngsave_buffer()), query))[0]
    wanted = (ramp if query == "rotate=0" else ramp[::-1])[:, None] / 257
    assert np.abs(found - wanted).max() <= 0.51


@pytest.mark.parametrize("bits", [10, 12])
def test_ten_and_twelve_bits_become_eight_with_rounding(tmp_path: Path, bits: int) -> None:
    """libheif leaves the lowest bits of 16 empty, so the error may be a little larger."""
    ramp = np.arange(0, 1 << bits, (1 << bits) // 1024, dtype=np.uint16)
    pixels = np.repeat(np.tile(ramp << (16 - bits), (64, 1))[:, :, None], 3, axis=2)
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="rgb16")
    body = bytes(image.heifsave_buffer(compression="av1", lossless=True, bitdepth=bits))
    found = values(rendered(tmp_path, body, "flop"))[3, ::-1]
    assert np.abs(found - ramp[:, None] * (255 / ((1 << bits) - 1))).max() <= 0.7
