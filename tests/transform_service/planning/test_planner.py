"""Planning: a pure function of a chain and a header."""

import subprocess
import sys

import pytest

from imaging.formats import FORMATS
from imaging.geometry import Size
from imaging.header import Header
from service_kit.errors import BadRequest, UnprocessableImage
from tests.servers import ROOT
from transform_service.chain import parse
from transform_service.operations.resize import Resize
from transform_service.planning.plan import OutputLimits, Planned
from transform_service.planning.planner import plan

LIMITS = OutputLimits(max_pixels=100_000_000, max_side=8192)


def header(width: int = 4000, height: int = 3000, **changes: object) -> Header:
    facts: dict[str, object] = {
        "format": "jpeg", "width": width, "height": height, "frames": 1, "orientation": 1,
        "colour_space": "srgb", "alpha": False, "progressive": False,
    }  # fmt: skip
    return Header(**{**facts, **changes})


def planned(query: str, output: str = "png", sha256: str = "a" * 64, of: Header | None = None) -> Planned:
    return plan(parse(query, max_operations=20).operations, FORMATS[output], of or header(), sha256, LIMITS)


def steps(query: str, output: str = "png", of: Header | None = None) -> str:
    return "&".join(str(step) for step in planned(query, output, of=of).plan.operations)


def test_the_order_of_the_chain_is_kept() -> None:
    assert steps("blur=200&thumb=3000&rotate=10") == "blur=200&resize=3000x2250,fill,enlarge&rotate=10"
    assert steps("sharpen=1&crop=9x9,smart&blur=1") == "sharpen=1&crop=9x9,smart&blur=1"


def test_transparency_becomes_white_in_formats_without_alpha() -> None:
    assert steps("blur=1", "jpeg") == "blur=1"
    assert steps("blur=1", "jpeg", header(alpha=True)) == "blur=1&background=ffffff"
    assert steps("rotate=10", "jpeg") == "rotate=10&background=ffffff"
    assert steps("rotate=10") == "rotate=10"


def test_the_decoder_does_a_downscale_that_comes_first() -> None:
    for query in ("thumb=300", "resize=300x200,cover", "rotate=90&thumb=300", "grayscale&flip&thumb=300"):
        assert planned(query).plan.load
    for query in ("blur=0.3&thumb=300", "resize=5000x,enlarge", "crop=300x300&thumb=9", "thumb=4000"):
        assert not planned(query).plan.load
    assert not planned("thumb=9", "gif", of=header(9, 99, format="gif", frames=3)).plan.load


@pytest.mark.parametrize(
    ("query", "buffered"),
    [
        ("thumb=300&rotate=90", [True]),
        ("crop=0,0,900x900&brightness=2&thumb=30", [False, False, False]),
        ("thumb=300&crop=9x9&thumb=5", [False, True]),
        ("thumb=300&grayscale&pad=900x900", [False, False]),
        ("blur=1&blur=2&crop=9x9&flop", [True, True, False, False]),
        ("rotate=10&thumb=30", [True, True]),
    ],
)
def test_only_pixels_that_are_read_again_are_kept_in_memory(query: str, buffered: list[bool]) -> None:
    assert [step.buffered for step in planned(query).plan.steps] == buffered


@pytest.mark.parametrize("page", [0, 2])
def test_a_page_is_one_frame(page: int) -> None:
    made = planned(f"rotate=0&page={page}", "gif", of=header(90, 90, format="gif", frames=3)).plan
    assert (made.page, made.frames, made.operations) == (page, 1, ())


@pytest.mark.parametrize("query", ["page=3", "page=0&page=1"])
def test_a_missing_page_is_refused(query: str) -> None:
    with pytest.raises(BadRequest, match="page="):
        planned(query, of=header(90, 90, format="gif", frames=3))


def test_a_crop_outside_the_image_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"crop=300,0,9x9 starts outside of the image, which is 300 x 225 pixels"):
        planned("thumb=300&crop=300,0,9x9")


def test_the_smallest_compress_wins() -> None:
    for query in ("compress=30&compress=90", "compress=90&compress=30"):
        assert planned(query).plan.encoding.effective_quality == 30
    defaults = {
        name: planned("thumb=9", name).plan.encoding.effective_quality for name in ("jpeg", "webp", "avif", "png")
    }
    assert defaults == {"jpeg": 80, "webp": 79, "avif": 60, "png": 100}


def test_exif_quarter_turns_swap_the_sides() -> None:
    for orientation in range(1, 9):
        made = planned("thumb=200", of=header(400, 300, orientation=orientation)).plan
        assert made.load == Resize.to(Size(200, 150))
        turned = made.operations[-1].output_size(Size(200, 150)) if orientation > 1 else Size(200, 150)
        assert turned == (Size(150, 200) if orientation >= 5 else Size(200, 150))


def test_a_rotation_can_undo_that_of_exif() -> None:
    assert steps("rotate=270", of=header(orientation=6)) == ""
    assert steps("flop&rotate=270", of=header(orientation=5)) == ""


def test_frames_are_kept_if_both_formats_are_animated() -> None:
    animation = header(100, 100, format="gif", frames=7)
    assert planned("thumb=9", "webp", of=animation).plan.frames == 7
    assert planned("thumb=9", "png", of=animation).plan.frames == 1
    assert planned("thumb=9", "gif", of=header(100, 100, format="tiff", frames=7)).plan.frames == 1


def test_only_identical_results_have_the_same_key() -> None:
    keys = [
        planned("thumb=9").key,
        planned("thumb=10").key,
        planned("thumb=9&blur=1").key,
        planned("blur=1&thumb=9").key,
        planned("thumb=9&compress=50").key,
        planned("thumb=9", "webp").key,
        planned("thumb=9", sha256="b" * 64).key,
    ]
    assert len(set(keys)) == len(keys)
    assert planned("blur=2.0&thumb=09").key == planned("blur=2&utm_x=1&thumb=9").key


@pytest.mark.parametrize(("name", "quality"), [("jpeg", 80), ("webp", 79), ("png", 100), ("gif", 100)])
def test_a_copy_has_another_key_than_an_encoding_of_the_same_quality(name: str, quality: int) -> None:
    of = header(format=name)
    assert planned("rotate=0", name, of=of).plan.unchanged
    assert planned("rotate=0", name, of=of).key != planned(f"compress={quality}", name, of=of).key
    assert planned("thumb=9", name, of=of).key == planned(f"thumb=9&compress={quality}", name, of=of).key


def test_a_result_with_a_gain_map_has_another_key() -> None:
    """The header of the same file may be from a time when gain maps were not noted."""
    old, new = (planned("thumb=9", "jpeg", of=header(gain_map_pixels=pixels)).key for pixels in (0, 9000))
    assert old != new


@pytest.mark.parametrize(
    ("query", "of", "step"),
    [
        ("rotate=90", header(9000, 100), "the image itself|rotate=90"),
        ("rotate=45", header(8000, 8000), "rotate=45"),
        ("rotate=45&thumb=100", header(9000, 9000), "rotate=45"),
        ("blur=1", header(8193, 1), "the image itself"),
        ("rotate=45", header(2000, 1000, format="gif", frames=30), "rotate=45"),
    ],
)
def test_a_plan_over_the_limits_names_the_step(query: str, of: Header, step: str) -> None:
    with pytest.raises(UnprocessableImage, match=step):
        planned(query, "webp", of=of)


def test_planning_needs_no_libvips() -> None:
    code = "import transform_service.planning.planner, transform_service.chain, sys; sys.exit('pyvips' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
