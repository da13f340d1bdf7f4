"""However a TIFF lays out its samples, they are read right or refused. libvips 8.18 scrambles some layouts."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile

from service_kit.errors import UnprocessableImage
from tests.fidelity.rendering import rendered, values

WIDTH, HEIGHT = 56, 40
ALPHA_BANDS = {2, 4}


def samples(bands: int) -> np.ndarray:
    """Gradients of 8 bits, another one in each band, with alpha from 60."""
    row, column = np.mgrid[0:HEIGHT, 0:WIDTH]
    made = np.stack([(3 * column + 2 * row * (band + 1) + 40 * band) % 256 for band in range(bands)], -1)
    if bands in ALPHA_BANDS:
        made[..., -1] = np.maximum(made[..., -1], 60)
    return made.astype(np.uint8)


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    body = io.BytesIO()
    separate = options.get("planarconfig") == "separate"
    data = np.moveaxis(pixels, -1, 0) if separate else pixels.squeeze()
    tifffile.imwrite(body, data, **{"photometric": "rgb" if pixels.shape[-1] > 2 else "minisblack", **options})
    return body.getvalue()


def as_kind(pixels: np.ndarray, kind: str) -> np.ndarray:
    """The same values with other samples. Floats are linear light, but not alpha."""
    if kind.startswith("float"):
        linear = pixels / 255
        colours = pixels.shape[-1] - (pixels.shape[-1] in ALPHA_BANDS)
        curve = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
        return np.concatenate([curve[..., :colours], linear[..., colours:]], -1).astype(kind)
    return pixels.astype(kind) * {"uint8": 1, "uint16": 257, "uint32": 0x1010101}[kind]


@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 7, "byteorder": ">"}, {"tile": (16, 16)}], ids=str)
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "float16", "float32"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_interleaved_samples(
    tmp_path: Path, bands: int, kind: str, compression: str | None, layout: dict[str, object]
) -> None:
    extra = ["unassalpha"] if bands in ALPHA_BANDS else None
    pixels = samples(bands)
    body = tiff(as_kind(pixels, kind), compression=compression, extrasamples=extra, **layout)
    assert np.abs(values(rendered(tmp_path, body, "")) - pixels.astype(int)).max() <= 1


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "float32"])
@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize("rows", [None, 7])
def test_separate_planes(tmp_path: Path, bands: int, kind: str, rows: int | None) -> None:
    pixels = samples(bands)
    extra = ["unassalpha"] if bands == 4 else None
    body = tiff(as_kind(pixels, kind), planarconfig="separate", extrasamples=extra, rowsperstrip=rows)
    assert np.abs(values(rendered(tmp_path, body, "")) - pixels.astype(int)).max() <= 1


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("bands", [2, 4])
def test_premultiplied_alpha_becomes_straight(tmp_path: Path, bands: int, kind: str) -> None:
    pixels = samples(bands).astype(int)
    alpha = pixels[..., -1:]
    stored = np.concatenate([pixels[..., :-1] * alpha // 255, alpha], -1)
    wanted = np.concatenate([np.minimum(255, stored[..., :-1] * 255 / alpha), alpha], -1)
    body = tiff(as_kind(stored, kind), extrasamples=["assocalpha"])
    assert np.abs(values(rendered(tmp_path, body, "")) - wanted).max() < 2


@pytest.mark.parametrize(
    ("bands", "kind", "options", "reason"),
    [
        (2, "uint8", {"planarconfig": "separate", "extrasamples": ["unassalpha"]}, "grey and alpha in separate planes"),
        (2, "uint16", {"planarconfig": "separate", "extrasamples": ["assocalpha"]}, "grey and alpha in separate"),
        (3, "float16", {"planarconfig": "separate"}, "16-bit floats in separate planes"),
        (3, "uint8", {"planarconfig": "separate", "tile": (16, 16)}, "tiles in separate planes"),
        (4, "uint32", {"extrasamples": ["assocalpha"]}, "premultiplied alpha"),
        (2, "uint32", {"extrasamples": ["assocalpha"]}, "premultiplied alpha"),
        (2, "float32", {"extrasamples": ["assocalpha"]}, "premultiplied alpha"),
        (2, "float16", {"extrasamples": ["assocalpha"]}, "premultiplied alpha"),
        (1, "float32", {"photometric": "miniswhite"}, "of which 0 is white"),
    ],
    ids=str,
)
def test_layouts_that_would_be_scrambled_are_refused(
    tmp_path: Path, bands: int, kind: str, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(UnprocessableImage, match=f"{reason}.*; save it with"):
        rendered(tmp_path, tiff(as_kind(samples(bands), kind), **options), "")
