"""Which level a plan starts from, and why not."""

import pytest

from imaging.geometry import Part, Size
from imaging.header import Header
from imaging.levels import Level, formats_of, sizes, smallest_for
from tests.transform_service.planning.test_planner import header, planned
from transform_service.planning.levels import from_level, level_for, missing, needs_original


def level(side: int, of: Header) -> Level:
    size = sizes(of)[side]
    facts = {"format": "jpeg", "width": size.width, "height": size.height, "orientation": 1, "progressive": False}
    return Level(side=side, header=of.model_copy(update=facts), bytes=1, sha256="b" * 64)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (1999, 1500, {}),
        (2000, 1500, {480: Size(480, 360), 960: Size(960, 720)}),
        (3400, 2267, {480: Size(480, 320), 960: Size(960, 640), 1920: Size(1920, 1280)}),
        (3000, 4000, {480: Size(360, 480), 960: Size(720, 960), 1920: Size(1440, 1920)}),
        (10_000, 500, {1920: Size(1920, 96)}),  # the others would be 48 and 24 pixels high
        (10_000, 200, {}),
    ],
)
def test_levels_exist_where_they_are_worth_their_bytes(width: int, height: int, expected: dict[int, Size]) -> None:
    assert sizes(header(width, height)) == expected


def test_animations_have_no_levels() -> None:
    assert sizes(header(format="gif", frames=2)) == {}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Size(300, 200), 480),
        (Size(320, 240), 480),
        (Size(321, 240), 960),
        (Size(100, 240), 480),
        (Size(100, 241), 960),
        (Size(641, 480), 1920),
        (Size(1280, 960), 1920),
        (Size(1281, 960), None),
    ],
)
def test_a_level_has_pixels_to_spare_in_both_directions(target: Size, expected: int | None) -> None:
    assert smallest_for(target, sizes(header())) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, ["jpeg"]),
        ({"format": "avif"}, ["jpeg"]),
        ({"format": "png"}, ["jpeg"]),
        ({"format": "webp", "alpha": True}, ["jpeg", "png"]),
    ],
)
def test_levels_with_alpha_can_be_png(facts: dict[str, object], expected: list[str]) -> None:
    assert [fmt.name for fmt in formats_of(header(**facts))] == expected


def test_a_plan_from_a_level_without_opaque_alpha_expects_alpha() -> None:
    image = header(format="png", alpha=True)
    opaque = level(480, image.model_copy(update={"alpha": False}))
    found = from_level(planned("thumb=300", of=image).plan, [opaque])
    assert found
    assert (found[0].header.format, found[0].header.alpha) == ("jpeg", True)


@pytest.mark.parametrize(
    "query", ["thumb=300", "rotate=90&thumb=300", "blur=50&thumb=300", "resize=9x9,cover&crop=5x5"]
)
def test_a_plan_from_a_level_has_the_same_steps(query: str) -> None:
    made = planned(query).plan
    found = from_level(made, [level(480, header()), level(1920, header())])
    assert found
    plan, used = found
    assert (used.side, plan.header) == (480, used.header)
    assert plan.operations == made.operations
    assert level_for(made) == 480


def test_a_crop_needs_a_level_with_enough_pixels_in_its_part() -> None:
    levels = [level(side, header()) for side in (480, 960, 1920)]
    for query, side in (
        ("crop=2000x1500&thumb=160", 480),
        ("crop=2000x1500&thumb=161", 960),
        ("crop=1000x750&thumb=320", 1920),
    ):
        found = from_level(planned(query).plan, levels)
        assert found, query
        assert found[1].side == side, query
    assert from_level(planned("crop=1000x750&thumb=321").plan, levels) is None
    found = from_level(planned("crop=400,300,2000x1500&thumb=100&blur=2").plan, levels)
    assert found
    assert found[0].part == Part(0.1, 0.1, 0.5, 0.5)
    assert list(map(str, found[0].operations)) == ["resize=100x75,fill,enlarge", "blur=2"]


def test_a_larger_level_serves_if_the_best_one_is_missing() -> None:
    found = from_level(planned("thumb=300").plan, [level(1920, header())])
    assert found
    assert found[1].side == 1920
    assert missing(header(), [level(1920, header())]) == (480, 960)


NO_DOWNSCALE = "the chain does not begin with a downscale, or with a crop and a downscale"


@pytest.mark.parametrize(
    ("query", "output", "of", "reason"),
    [
        ("sharpen=1", "png", header(), NO_DOWNSCALE),
        ("crop=9x9", "png", header(), NO_DOWNSCALE),
        (
            "crop=900x900,smart&thumb=30",
            "png",
            header(),
            "the chain does not begin with a downscale, or with a crop and a downscale",
        ),
        ("crop=900x900&thumb=30", "png", header(), ""),
        ("rotate=0", "jpeg", header(), "the encoded pixels are kept"),
        ("thumb=300", "jpeg", header(gain_map_pixels=9), "levels have no gain map"),
        ("thumb=300", "webp", header(gain_map_pixels=9), ""),
        ("thumb=300&profile=keep", "png", header(), "levels are sRGB"),
        ("thumb=300&autocrop", "png", header(), "autocrop looks at the pixels"),
        ("page=0&thumb=300", "png", header(format="gif", frames=2), "the image has several frames"),
        ("thumb=300", "png", header(), ""),
    ],
)
def test_the_reason_for_the_original_is_known(query: str, output: str, of: Header, reason: str) -> None:
    made = planned(query, output, of=of).plan
    assert needs_original(made) == reason
    assert (from_level(made, [level(480, header())]) is None) == bool(reason)
