"""Filters respect alpha, and conversions round."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from imaging.formats import FORMATS
from tests.fidelity.rendering import LIMITS, flat, rendered, values
from tests.files import header_of, render_file
from transform_service.chain import parse
from transform_service.planning.planner import plan, with_overlays

KEEPING_FLAT = [
    "thumb=20",
    "resize=17x29,fill",
    "resize=90x,enlarge",
    "resize=20x20,cover",
    "blur=0.5",
    "blur=1",
    "blur=2",
    "blur=5",
    "blur=20",
    *(f"blur={radius}" for radius in (0.3, 0.7, 1.2, 1.5, 1.7, 2.5, 3, 4, 6, 7, 8, 10, 13, 40)),
    "blur=3,0.02",
    "sharpen=0.5",
    "sharpen=1",
    "sharpen=3",
    "pixelate=7",
    "rotate=90",
    "brightness=1.0001",
    "contrast=1.0001",
    "saturation=1.0001",
]
COLOURS = [
    (230,),
    (1,),
    (254,),
    (255, 255, 255),
    (200, 100, 50),
    (0, 0, 0),
    *((200, 100, 50, alpha) for alpha in (255, 254, 128, 16, 2, 1)),
    (255, 1, 254, 77),
    (230, 128),
    (7, 3),
]


@pytest.mark.parametrize("query", KEEPING_FLAT)
@pytest.mark.parametrize("colour", COLOURS, ids=str)
def test_a_flat_colour_stays_that_colour(tmp_path: Path, colour: tuple[int, ...], query: str) -> None:
    found = values(rendered(tmp_path, flat(colour).pngsave_buffer(), query))
    assert np.array_equal(np.unique(found.reshape(-1, found.shape[2]), axis=0), [colour])


def disc(colour: tuple[int, int, int], hidden: tuple[int, int, int], fmt: str = "PNG") -> bytes:
    """A disc with soft edges on transparency, under which another colour is hidden."""
    mask = Image.new("L", (480, 480))
    ImageDraw.Draw(mask).ellipse((80, 80, 400, 400), fill=255)
    mask = mask.resize((120, 120), Image.Resampling.BOX)
    picture = np.empty((120, 120, 4), np.uint8)
    alpha = np.asarray(mask)
    near = np.asarray(mask.filter(ImageFilter.MaxFilter(9 if fmt == "WEBP" else 1)))  # it mixes colours of neighbours
    picture[:, :, :3] = np.where(near[:, :, None] > 0, colour, hidden)
    picture[:, :, 3] = alpha
    body = io.BytesIO()
    Image.fromarray(picture).save(body, fmt, **({"quality": 90, "exact": True} if fmt == "WEBP" else {}))
    return body.getvalue()


@pytest.mark.parametrize("hidden", [(0, 0, 0), (0, 255, 0), (255, 255, 255)])
@pytest.mark.parametrize(
    "query",
    ["sharpen=0.5", "sharpen=1", "sharpen=3", "sharpen=10", "blur=2", "blur=9", "blur=4,0.02", "thumb=37", "pixelate=9",
     "resize=300x300,enlarge", "rotate=30", "thumb=60&sharpen=1", "resize=41x80,fill"],
)  # fmt: skip
def test_hidden_colours_stay_hidden(tmp_path: Path, query: str, hidden: tuple[int, int, int]) -> None:
    found = values(rendered(tmp_path, disc((128, 128, 128), hidden), query)).astype(int)
    seen = found[found[:, :, 3] > 8]
    assert len(seen) > 100
    assert np.abs(seen[:, :3] - 128).max() <= 1
    clear = found[found[:, :, 3] > 0]
    assert np.abs(clear[:, :3] - 128).max() <= 8, "a step of alpha 1 of 255 is that large"


def test_sharpening_still_sharpens_a_picture_with_alpha(tmp_path: Path) -> None:
    ramp = np.full((40, 60, 4), 255, np.uint8)
    ramp[:, :30, :3], ramp[:, 30:, :3] = 90, 160
    for alpha in (255, 254):
        ramp[:, :, 3] = alpha
        body = io.BytesIO()
        Image.fromarray(ramp).save(body, "PNG")
        found = values(rendered(tmp_path, body.getvalue(), "sharpen=1")).astype(int)
        assert found[20, 29, 0] < 85
        assert found[20, 30, 0] > 165


@pytest.mark.parametrize("side", [37, 60, 119])
def test_a_thumbnail_of_a_webp_shows_no_hidden_colour(tmp_path: Path, side: int) -> None:
    found = values(rendered(tmp_path, disc((255, 0, 0), (0, 255, 0), "WEBP"), f"thumb={side}")).astype(int)
    edge = found[(found[:, :, 3] > 40) & (found[:, :, 3] < 250)]
    assert len(edge) > 20
    assert edge[:, 0].min() > 245, "lossy WebP itself is not exact"
    assert edge[:, 1].max() < 60


@pytest.mark.parametrize("background", ["ffffff", "000000", "808080", "ff8800"])
@pytest.mark.parametrize("alpha", [1, 77, 128, 200, 254])
def test_a_background_is_mixed_with_rounding(tmp_path: Path, background: str, alpha: int) -> None:
    colour = (200, 100, 50)
    body = flat((*colour, alpha)).pngsave_buffer()
    behind = bytes.fromhex(background)
    wanted = [round((c * alpha + b * (255 - alpha)) / 255) for c, b in zip(colour, behind, strict=True)]
    found = values(rendered(tmp_path, body, f"background={background}"))
    assert np.abs(found[0, 0, :3].astype(int) - wanted).max() <= 0


def over(top: tuple[int, ...], bottom: tuple[int, ...]) -> list[float]:
    """A colour with straight alpha over another one, by the definition of `over`."""
    above, below = top[3] / 255, bottom[3] / 255
    alpha = above + below * (1 - above)
    mixed = [(t * above + b * below * (1 - above)) / alpha for t, b in zip(top[:3], bottom[:3], strict=True)]
    return [*mixed, 255 * alpha]


@pytest.mark.parametrize("alpha", [1, 16, 77, 128, 254, 255])
@pytest.mark.parametrize("background", ["ff880080", "808080c0", "123456fe", "00000001"])
def test_a_translucent_background_is_mixed_with_rounding(tmp_path: Path, background: str, alpha: int) -> None:
    colour = (200, 100, 50, alpha)
    red, green, blue, opacity = bytes.fromhex(background)
    found = values(rendered(tmp_path, flat(colour).pngsave_buffer(), f"background={background}"))[0, 0]
    assert np.abs(found - np.array(over(colour, (red, green, blue, opacity)))).max() <= 0.51


@pytest.mark.parametrize("opacity", ["1", "0.5", "0.01"])
@pytest.mark.parametrize("alpha", [1, 16, 128, 254, 255])
@pytest.mark.parametrize("under", [(200, 100, 50, 255), (230, 230, 230, 255), (200, 100, 50, 254), (200, 100, 50, 128)])
def test_a_watermark_is_mixed_with_rounding(tmp_path: Path, under: tuple[int, ...], alpha: int, opacity: str) -> None:
    name = "0123456789abcdef0123456789abcdef"
    base, mark, target = tmp_path / "base", tmp_path / "mark", tmp_path / "result"
    base.write_bytes(flat(under[:3] if under[3] == 255 else under).pngsave_buffer())
    mark.write_bytes(flat((10, 250, 77, alpha)).pngsave_buffer())
    chain = parse(f"watermark={name},centre,{opacity}", max_operations=1)
    made = with_overlays(
        plan(chain.operations, FORMATS["png"], header_of(base), "", LIMITS), {name: header_of(mark)}
    ).plan
    assert made
    render_file(base, made, target, {name: mark})
    faint = int(alpha * float(opacity) + 0.5)
    wanted = over((10, 250, 77, faint), under)
    found = values(target.read_bytes())[0, 0]
    assert np.abs(found - np.array(wanted[: len(found)])).max() <= 0.51
