"""Crops around the focal point, and where the point is after other operations."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.formats import FORMATS
from imaging.geometry import Size
from tests.transform_service.planning.test_planner import LIMITS, header
from transform_service.chain import parse
from transform_service.operations.crop import Crop
from transform_service.planning.focus import focused
from transform_service.planning.planner import plan


def steps(query: str) -> tuple[object, ...]:
    return parse(query, max_operations=20).operations


def placed(query: str, point: tuple[float, float] | None) -> str:
    """The last operation on an image of 400 x 300 pixels, with its place."""
    return str(focused(steps(query), Size(400, 300), point)[-1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "point", "expected"),
    [
        ("crop=100x100,focus", (0.5, 0.5), "crop=150,100,100x100"),
        ("crop=100x100,focus", (0.0, 0.0), "crop=0,0,100x100"),
        ("crop=100x100,focus", (1.0, 1.0), "crop=300,200,100x100"),
        ("crop=100x100,focus", (0.25, 0.5), "crop=50,100,100x100"),
        ("crop=9000x100,focus", (0.25, 0.5), "crop=0,100,400x100"),
        ("crop=100x100,focus", None, "crop=100x100,smart"),
        ("flop&crop=100x100,focus", (0.25, 0.5), "crop=250,100,100x100"),
        ("flip&crop=100x100,focus", (0.25, 0.25), "crop=50,175,100x100"),
        ("rotate=90&crop=100x100,focus", (0.25, 0.25), "crop=175,50,100x100"),
        ("rotate=180&crop=100x100,focus", (0.25, 0.25), "crop=250,175,100x100"),
        ("thumb=200&crop=50x50,focus", (0.25, 0.5), "crop=25,50,50x50"),
        ("resize=100x300,fill&crop=50x50,focus", (0.5, 0.5), "crop=25,125,50x50"),
        ("resize=200x200,cover&crop=50x50,focus", (0.5, 0.5), "crop=75,75,50x50"),
        ("resize=200x200,cover&crop=50x50,focus", (0.25, 0.5), "crop=9,75,50x50"),
        ("resize=200x200,contain&crop=50x50,focus", (0.25, 0.0), "crop=25,0,50x50"),
        ("pad=600x500&crop=100x100,focus", (0.0, 0.0), "crop=50,50,100x100"),
        ("crop=100,50,200x200&crop=50x50,focus", (0.5, 0.5), "crop=75,75,50x50"),
        ("crop=200x200,west&crop=50x50,focus", (1.0, 0.5), "crop=150,75,50x50"),
        ("autocrop&crop=50x50,focus", (0.5, 0.5), "crop=50x50,smart"),
        ("crop=200x200,smart&crop=50x50,focus", (0.5, 0.5), "crop=50x50,smart"),
        ("crop=200x200,focus&crop=50x50,focus", (0.5, 0.5), "crop=75,75,50x50"),
    ],
)
def test_a_crop_is_around_the_point_wherever_it_has_moved(
    query: str, point: tuple[float, float] | None, expected: str
) -> None:
    assert placed(query, point) == expected


@given(degrees=st.floats(-720, 720), x=st.floats(0, 1), y=st.floats(0, 1))
def test_a_turned_point_stays_as_far_from_the_centre(degrees: float, x: float, y: float) -> None:
    (turn,) = steps(f"rotate={degrees:.3f}")
    size = Size(400, 300)
    moved, outer = turn.moved((x, y), size), turn.output_size(size)  # type: ignore[attr-defined]
    before = math.hypot((x - 0.5) * size.width, (y - 0.5) * size.height)
    after = math.hypot((moved[0] - 0.5) * outer.width, (moved[1] - 0.5) * outer.height)
    assert after == pytest.approx(before, abs=1e-6)


def test_other_chains_are_left_alone() -> None:
    chain = steps("rotate=90&crop=10x10,smart")
    assert focused(chain, Size(400, 300), (0.5, 0.5)) is chain  # type: ignore[arg-type]


def test_the_point_is_upright() -> None:
    """A photo that lies on its side has its point where people see it."""
    photo = header(width=400, height=300, orientation=6)
    chain = parse("crop=100x100,focus", max_operations=20)
    made = plan(chain.operations, FORMATS["png"], photo, "", LIMITS, focus=(0.5, 0.0)).plan
    assert made
    crops = [step for step in made.operations if isinstance(step, Crop)]
    # Upright, it is 300 wide and 400 high: the crop is at 100, 0. The planner may crop before it turns.
    assert str(crops[0]) in {"crop=100,0,100x100", "crop=0,100,100x100"}


def test_another_point_is_another_plan() -> None:
    photo = header(width=400, height=300)
    chain = parse("crop=100x100,focus", max_operations=20)
    keys = {
        plan(chain.operations, FORMATS["png"], photo, "", LIMITS, focus=point).key
        for point in (None, (0.5, 0.5), (0.6, 0.5))
    }
    assert len(keys) == 3
