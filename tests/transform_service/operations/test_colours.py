"""Colours in URLs. Pillow and the test are independent of the table in the code."""

import pytest
from PIL import ImageColor

from transform_service.operations.colours import NAMES, parse_colour


def test_the_names_are_those_of_css() -> None:
    assert len(NAMES) == 149
    assert {name: parse_colour(name) for name in ImageColor.colormap} == {
        name: bytes(ImageColor.getrgb(name)).hex() for name in ImageColor.colormap
    }
    assert set(NAMES) - set(ImageColor.colormap) == {"transparent"}
    assert parse_colour("transparent") == "00000000"
    assert parse_colour("RebeccaPurple") == "663399"


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("f80", "ff8800"),
        ("#F80", "ff8800"),
        ("f80f", "ff8800"),
        ("f808", "ff880088"),
        ("#f808", "ff880088"),
        ("FF8800", "ff8800"),
        ("#ff8800", "ff8800"),
        ("ff8800ff", "ff8800"),
        ("ff880080", "ff880080"),
        ("00000000", "00000000"),
        ("0000", "00000000"),
    ],
)
def test_hex_digits(text: str, colour: str) -> None:
    assert parse_colour(text) == colour


@pytest.mark.parametrize(
    "text",
    ["", "#", "ff", "ff880", "ff88001", "ff8800112", "##f80", "#red", "redd", "rgb(1", "currentcolor", "٣٣٣", "none"],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a colour; (write a CSS name|did you mean)"):
        parse_colour(text)
