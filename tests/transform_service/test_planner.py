"""Plans: pure functions from a chain and a header."""

import subprocess
import sys

import pytest

from service_kit.errors import UnprocessableImage
from service_kit.formats import FORMATS
from service_kit.images import Header
from tests.servers import ROOT
from transform_service.chain import parse
from transform_service.geometry import Size
from transform_service.planner import OutputLimits, Planned, fill_corners, plan

LIMITS = OutputLimits(max_pixels=100_000_000, max_side=8192)


def header(width: int = 4000, height: int = 3000, **changes: object) -> Header:
    facts: dict[str, object] = {
        "format": "jpeg", "width": width, "height": height, "frames": 1, "orientation": 1,
        "colour_space": "srgb", "alpha": False, "progressive": False,
    }  # fmt: skip
    return Header(**{**facts, **changes})


def planned(query: str, output: str = "png", sha256: str = "a" * 64, of: Header | None = None) -> Planned:
    return plan(parse(query, max_operations=20).operations, FORMATS[output], of or header(), sha256, LIMITS)


def steps(query: str, output: str = "png") -> str:
    return "&".join(str(step) for step in planned(query, output).plan.steps)


def test_the_users_order_is_kept() -> None:
    assert steps("blur=2&thumb=300&rotate=90") == "blur=2&thumb=300&rotate=90"


def test_formats_without_alpha_end_on_white() -> None:
    assert steps("thumb=9", "jpeg") == "thumb=9&background=ffffff"


def test_the_background_in_force_fills_new_corners() -> None:
    assert steps("rotate=10&background=ff0000") == "rotate=10&background=ff0000"
    assert steps("background=ff0000&rotate=10&blur=1") == "background=ff0000&rotate=10&background=ff0000&blur=1"
    assert steps("background=ff0000&rotate=90") == "background=ff0000&rotate=90"
    assert fill_corners(()) == ()


def test_the_smallest_compress_wins() -> None:
    for query in ("compress=30&compress=90", "compress=90&compress=30"):
        assert planned(query).plan.encoding.effective_quality == 30
    defaults = {
        name: planned("thumb=9", name).plan.encoding.effective_quality for name in ("jpeg", "webp", "avif", "png")
    }
    assert defaults == {"jpeg": 80, "webp": 79, "avif": 60, "png": 100}


def test_quarter_turns_in_exif_swap_the_sides() -> None:
    for orientation in range(1, 9):
        size = planned("thumb=9", of=header(400, 300, orientation=orientation)).plan.size
        assert size == (Size(300, 400) if orientation >= 5 else Size(400, 300))


def test_frames_are_kept_where_both_formats_can() -> None:
    animation = header(100, 100, format="gif", frames=7)
    assert planned("thumb=9", "webp", of=animation).plan.frames == 7
    assert planned("thumb=9", "png", of=animation).plan.frames == 1
    assert planned("thumb=9", "gif", of=header(100, 100, format="tiff", frames=7)).plan.frames == 1


def test_keys_are_equal_for_equal_results_only() -> None:
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
    code = "import transform_service.planner, transform_service.chain, sys; sys.exit('pyvips' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
