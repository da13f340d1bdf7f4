"""Sizes that decoders, filters and limits get wrong."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service_kit.errors import UnprocessableImage
from tests.fidelity.rendering import opened, rendered, values
from transform_service.planning.plan import OutputLimits

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF"]


def saved(image: Image.Image, fmt: str, **options: object) -> bytes:
    body = io.BytesIO()
    image.save(body, fmt, **options)
    return body.getvalue()


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize(
    ("size", "side", "wanted"),
    [
        ((1, 300), 40, (1, 40)),
        ((300, 1), 40, (40, 1)),
        ((3, 4000), 100, (1, 100)),
        ((15, 3000), 200, (1, 200)),
        ((2000, 7), 20, (20, 1)),
    ],
)
def test_a_narrow_image_gets_a_thumbnail(
    tmp_path: Path, fmt: str, size: tuple[int, int], side: int, wanted: tuple[int, int]
) -> None:
    body = saved(Image.new("RGB", size, (90, 90, 90)), fmt)
    result = opened(rendered(tmp_path, body, f"thumb={side}"))
    assert result.size == wanted
    assert abs(np.asarray(result).astype(int) - 90).max() <= 2


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("width", range(16, 144, 7))
def test_a_narrow_jpeg_loses_no_column(tmp_path: Path, width: int, *, progressive: bool) -> None:
    """A decoder that shrinks leaves out what does not fill a shrunk pixel at the right: here, the bright part."""
    picture = np.zeros((width * 20, width, 3), np.uint8)
    picture[:, width - width // 8 :] = 255
    body = saved(Image.fromarray(picture), "JPEG", quality=100, subsampling=0, progressive=progressive)
    for side in (20, 40, 80):
        found = values(rendered(tmp_path, body, f"thumb={side}"))[2:-2].mean()
        share = 255 * (width // 8) / width
        assert abs(found - share) < 8 + 255 / 2 / max(1, round(side / 20)) / 8, (side, found, share)


@pytest.mark.parametrize("query", ["sharpen=1&thumb=300", "blur=1&thumb=300", "contrast=1.1&thumb=300", "thumb=300"])
def test_limits_on_results_apply_to_results(tmp_path: Path, query: str) -> None:
    body = saved(Image.new("RGB", (800, 12_000), (9, 9, 9)), "PNG")
    limits = OutputLimits(100_000_000, 8192)
    assert opened(rendered(tmp_path, body, query, limits=limits)).size == (20, 300)
    with pytest.raises(UnprocessableImage, match="the limit is 8192 on each side"):
        rendered(tmp_path, body, "sharpen=1", limits=limits)


@pytest.mark.parametrize(
    ("output", "most"), [("webp", 16_383), ("png", 16_383), ("jpeg", 16_383), ("gif", 16_383), ("avif", 16_384)]
)
def test_a_side_may_be_as_long_as_the_format_allows(tmp_path: Path, output: str, most: int) -> None:
    body = saved(Image.new("RGB", (4, most), (9, 9, 9)), "PNG")
    limits = OutputLimits(100_000_000, most)
    assert opened(rendered(tmp_path, body, "flip", output, limits)).size == (4, most)


def test_a_format_that_allows_less_says_so(tmp_path: Path) -> None:
    body = saved(Image.new("RGB", (4, 20_000), (9, 9, 9)), "PNG")
    limits = OutputLimits(100_000_000, 30_000)
    assert opened(rendered(tmp_path, body, "flip", "png", limits)).size == (4, 20_000)
    with pytest.raises(UnprocessableImage, match="16383"):
        rendered(tmp_path, body, "flip", "webp", limits)


def test_limits_apply_to_what_autocrop_leaves(tmp_path: Path) -> None:
    picture = Image.new("RGB", (9000, 40), (255, 255, 255))
    picture.paste((9, 9, 9), (4000, 10, 4300, 30))
    limits = OutputLimits(100_000_000, 8192)
    assert opened(rendered(tmp_path, saved(picture, "PNG"), "autocrop", limits=limits)).size == (300, 20)
    picture.paste((9, 9, 9), (100, 10, 8900, 30))
    with pytest.raises(UnprocessableImage, match="autocrop"):
        rendered(tmp_path, saved(picture, "PNG"), "autocrop", limits=limits)
