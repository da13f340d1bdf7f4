"""Every rule: how it rewrites a chain, and that the image stays the same but for a stated difference."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from imaging.formats import FORMATS
from imaging.geometry import Frame, Size
from imaging.pixels import decoding
from imaging.pixels.decoding import OpenFile
from tests import pictures
from tests.files import header_of, mapped, render_file
from transform_service.chain import parse
from transform_service.operations.base import Steps
from transform_service.planning.plan import OutputLimits, Plan, Step
from transform_service.planning.planner import plan
from transform_service.planning.rules import (
    RULES,
    Rule,
    blur_behind_downscale,
    crop_first,
    fill_corners,
    fuse_turns,
    merge_downscales,
    resolve,
    shrink_first,
    simplify,
    upright,
)

LIMITS = OutputLimits(10**9, 65535)
FRAME = Frame(Size(4000, 3000))


def steps(query: str) -> Steps:
    return parse(query, max_operations=20).operations


def text(chain: Steps) -> str:
    return "&".join(map(str, chain)).replace(",fill,enlarge", "!")


@dataclass
class Difference:
    """The difference between two images, in steps of 255."""

    largest: int
    most: float
    """99.9 % of all bands of all pixels differ by no more."""
    mean: float


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, wallpapers: list[Path]) -> list[Path]:
    """Lossless photos and drawings of about 1600 pixels."""
    folder = tmp_path_factory.mktemp("photos")
    chosen = [path for path in wallpapers if path.suffix == ".jpg"][:3]
    chosen += [path for path in pictures.science_photos() if path.stat().st_size > 100_000][:4]
    for index, path in enumerate(chosen):
        image = pyvips.Image.thumbnail(str(path), 1600, height=1600, size="down").colourspace("srgb")
        image = image.flatten() if image.hasalpha() else image
        image.cast("uchar").write_to_file(str(folder / f"{index}.png"))
    return sorted(folder.iterdir())


def rendered(source: Path, made: Plan) -> np.ndarray:
    target = source.with_suffix(".out.png")
    target.unlink(missing_ok=True)
    render_file(source, made, target)
    pixels = pictures.pixels(pictures.decode(target.read_bytes()))
    target.unlink()
    return pixels


def unplanned(source: Path, query: str) -> np.ndarray:
    """The chain without rules: a full decode, then step by step in memory."""
    made = planned(source, query)
    plain = tuple(Step(step, buffered=True) for step in steps(query))
    return rendered(source, Plan(made.header, None, plain, made.encoding, LIMITS, 0, 1))


def planned(source: Path, query: str) -> Plan:
    header = header_of(source)
    return plan(steps(query), FORMATS["png"], header, "", LIMITS).plan


def difference(source: Path, query: str) -> Difference:
    after, before = rendered(source, planned(source, query)), unplanned(source, query)
    assert after.shape == before.shape
    distance = np.abs(after - before)
    return Difference(int(distance.max()), float(np.percentile(distance, 99.9)), float(distance.mean()))


@pytest.mark.parametrize(
    ("rule", "query", "after"),
    [
        (fill_corners, "background=ff0000&rotate=10&blur=1", "background=ff0000&rotate=10&background=ff0000&blur=1"),
        (fill_corners, "rotate=10&background=ff0000", "rotate=10&background=ff0000"),
        (fill_corners, "background=ff0000&rotate=90", "background=ff0000&rotate=90"),
        (fill_corners, "background=fff&pad=9x9&background=fff", "background=ffffff&pad=9x9&background=ffffff"),
        (fill_corners, "", ""),
        (resolve, "rotate=0&rotate=720&blur=0&thumb=4000&crop=4000x3000&pad=9x9&saturation=1", ""),
        (resolve, "brightness=1&contrast=1&sharpen=0&pixelate=1&background=fff&compress=9&page=0", ""),
        (resolve, "thumb=400", "resize=400x300!"),
        (resolve, "resize=200x200,cover", "resize=267x200!&crop=33,0,200x200"),
        (resolve, "resize=200x200,contain", "resize=200x150!&pad=200x200"),
        (resolve, "rotate=450&crop=100x100,southeast", "rotate=90&crop=2900,3900,100x100"),
        (resolve, "autocrop&thumb=400", "autocrop&thumb=400"),
        (fuse_turns, "rotate=90&rotate=90", "rotate=180"),
        (fuse_turns, "rotate=90&rotate=270", ""),
        (fuse_turns, "flip&flop", "rotate=180"),
        (fuse_turns, "flop&rotate=180", "flip"),
        (fuse_turns, "rotate=90&flip", "flop&rotate=90"),
        (fuse_turns, "rotate=90&blur=1&rotate=90", "rotate=90&blur=1&rotate=90"),
        (fuse_turns, "rotate=90&rotate=10", "rotate=90&rotate=10"),
        (shrink_first, "rotate=90&resize=300x400,fill,enlarge", "resize=400x300!&rotate=90"),
        (shrink_first, "flop&resize=300x400,fill,enlarge", "resize=300x400!&flop"),
        (shrink_first, "grayscale&resize=400x300,fill,enlarge", "resize=400x300!&grayscale"),
        (shrink_first, "rotate=90&resize=6000x8000,fill,enlarge", "rotate=90&resize=6000x8000!"),
        (shrink_first, "rotate=9&resize=300x400,fill,enlarge", "rotate=9&resize=300x400!"),
        (crop_first, "rotate=90&crop=10,20,300x200", "crop=20,2690,200x300&rotate=90"),
        (crop_first, "rotate=180&crop=10,20,300x200", "crop=3690,2780,300x200&rotate=180"),
        (crop_first, "rotate=270&crop=10,20,300x200", "crop=3780,10,200x300&rotate=270"),
        (crop_first, "flip&crop=10,20,300x200", "crop=10,2780,300x200&flip"),
        (crop_first, "flop&crop=10,20,300x200", "crop=3690,20,300x200&flop"),
        (crop_first, "flop&crop=3900,2900,300x200", "crop=0,2900,100x100&flop"),
        (crop_first, "rotate=9&crop=10,20,300x200", "rotate=9&crop=10,20,300x200"),
        (merge_downscales, "resize=2000x1500,fill,enlarge&resize=400x300,fill,enlarge", "resize=400x300!"),
        (
            merge_downscales,
            "resize=2000x1500,fill,enlarge&resize=400x2000,fill,enlarge",
            "resize=2000x1500!&resize=400x2000!",
        ),
        (blur_behind_downscale, "blur=100&resize=400x300,fill,enlarge", "resize=400x300!&blur=9.879"),
        (
            blur_behind_downscale,
            "blur=10&resize=400x300,fill,enlarge",
            "resize=979x734!&blur=2.061,0.02&resize=400x300!",
        ),
        (blur_behind_downscale, "blur=1&resize=400x300,fill,enlarge", "blur=1&resize=400x300!"),
        (blur_behind_downscale, "blur=100&resize=400x900,fill,enlarge", "blur=100&resize=400x900!"),
    ],
)
def test_a_rule_rewrites_the_chain(rule: Rule, query: str, after: str) -> None:
    assert text(rule(steps(query), FRAME)) == after


@pytest.mark.parametrize(
    ("query", "after"),
    [
        ("rotate=90&thumb=200", "resize=200x150!&rotate=90"),
        ("rotate=90&crop=1000x2000,south&thumb=200", "crop=2000,1000,2000x1000&resize=200x100!&rotate=90"),
        ("thumb=200&rotate=90", "resize=200x150!&rotate=90"),
        ("rotate=90&rotate=90&grayscale&flip&thumb=2000&thumb=200", "resize=200x150!&rotate=180&grayscale&flip"),
        ("blur=200&rotate=90&thumb=200", "resize=200x150!&blur=9.885&rotate=90"),
        ("thumb=200&resize=8000x,fill&rotate=360&compress=10", "resize=200x150!"),
    ],
)
def test_rules_work_together(query: str, after: str) -> None:
    assert text(simplify(steps(query), FRAME)) == after


def test_rules_change_nothing_when_applied_again() -> None:
    for query in (
        "blur=9&flip&thumb=500&rotate=12&background=fff",
        "resize=90x90,cover&flop&pad=99x99",
        "blur=5&thumb=99",
    ):
        once = simplify(steps(query), FRAME)
        for rule in RULES:
            assert rule(once, FRAME) == once, (rule, query)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_match_those_of_libvips(orientation: int) -> None:
    picture = pictures.gradient(7, 5).copy()
    picture.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    turned = picture.copy_memory()
    for step in upright(orientation):
        turned = step.apply(turned)
    np.testing.assert_array_equal(pictures.pixels(turned), pictures.pixels(picture.autorot()))


@pytest.mark.parametrize(
    "query", ["rotate=90&rotate=180", "flip&rotate=90", "flop&rotate=270&flip", "rotate=90&flop", "flip&flop&rotate=90"]
)
def test_fused_turns_move_every_pixel_to_the_same_position(photos: list[Path], query: str) -> None:
    for photo in photos[:2]:
        assert difference(photo, query).largest == 0


@pytest.mark.parametrize("turn", ["rotate=90", "rotate=180", "rotate=270", "flip", "flop", "flop&rotate=90"])
@pytest.mark.parametrize("crop", ["crop=10,21,300x200", "crop=301x203,southeast", "crop=200,150,9999x9999"])
def test_cropping_before_a_turn_is_exact(photos: list[Path], turn: str, crop: str) -> None:
    assert difference(photos[1], f"{turn}&{crop}").largest == 0


@pytest.mark.parametrize("query", ["flip&thumb=300", "flop&thumb=333", "rotate=180&resize=200x100,fill"])
def test_shrinking_before_mirroring_is_exact(photos: list[Path], query: str) -> None:
    """But for 1 of 255, where a sample falls between two pixels."""
    for photo in photos:
        assert difference(photo, query).largest <= 1


@pytest.mark.parametrize("query", ["rotate=90&thumb=200", "grayscale&thumb=200", "rotate=270&resize=300x300,cover"])
def test_shrinking_first_differs_by_rounding(photos: list[Path], query: str) -> None:
    """libvips scales columns first and rounds in between. Measured: 10 at single pixels, 2 elsewhere, 0.3 as mean."""
    for photo in photos:
        seen = difference(photo, query)
        assert seen.largest <= 16
        assert seen.most <= 6
        assert seen.mean <= 0.5


@pytest.mark.parametrize("query", ["thumb=1000&thumb=300", "thumb=400&thumb=390", "thumb=700&thumb=175"])
def test_merged_downscales_are_at_least_as_accurate(photos: list[Path], query: str) -> None:
    """Compared with a full decode scaled by Pillow's Lanczos in floating point: root mean square, of 255.

    From a quarter of the size on, libvips begins with a box filter, whose rounding costs 0.2.
    """
    for photo in photos:
        merged, twice = rendered(photo, planned(photo, query)), unplanned(photo, query)
        assert merged.shape == twice.shape
        truth = _lanczos(photo, merged.shape[1], merged.shape[0])
        assert _distance(merged, truth) <= _distance(twice, truth) + 0.3


@pytest.mark.parametrize(
    "query", ["blur=9&thumb=200", "blur=10&thumb=300", "blur=30&thumb=300", "blur=9&rotate=90&thumb=99"]
)
def test_a_blur_after_the_downscale_looks_the_same(photos: list[Path], query: str) -> None:
    """Measured: 22 at single pixels of hard edges, 13 elsewhere, 1.4 on average; mostly libvips' rounding."""
    for photo in photos:
        if pyvips.Image.new_from_file(str(photo)).width < 1000:
            continue  # too small for the rule
        assert planned(photo, query).load
        seen = difference(photo, query)
        assert seen.most <= 14
        assert seen.mean <= 2


def test_a_downscale_on_load_equals_libvips_thumbnail(wallpapers: list[Path]) -> None:
    """The same pixels, although we choose the loader."""
    for suffix in (".jpg", ".png"):
        for photo in [path for path in wallpapers if path.suffix == suffix][:12]:
            made = planned(photo, "thumb=512")
            if made.load is None:
                continue  # too small
            direct = pyvips.Image.thumbnail(str(photo), 512, height=512, size="down")
            loaded = decoding.scaled(OpenFile(mapped(photo), made.header), made.load.output_size(made.header.size))
            np.testing.assert_array_equal(pictures.pixels(loaded), pictures.pixels(direct))


def _lanczos(photo: Path, width: int, height: int) -> np.ndarray:
    bands = np.asarray(Image.open(photo).convert("RGB")).astype(np.float32)
    scaled = [Image.fromarray(bands[:, :, band]).resize((width, height), Image.Resampling.LANCZOS) for band in range(3)]
    return np.clip(np.dstack([np.asarray(band) for band in scaled]), 0, 255)


def _distance(pixels: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(((pixels - truth) ** 2).mean()))
