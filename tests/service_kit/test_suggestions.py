"""A name is suggested if it is close to what was written, and only then."""

import pytest

from service_kit.suggestions import closest, hint
from transform_service import aliases
from transform_service.operations.base import load_operations

NAMES = [*load_operations(), *aliases.NAMES, "format", "download", "preset"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("thum", "thumb"),
        ("htumb", "thumb"),
        ("THUMB", "thumb"),
        ("rotat", "rotate"),
        ("rtoate", "rotate"),
        ("rot", "rotate"),
        ("gray", "grayscale"),
        ("grayscael", "grayscale"),
        ("bright", "brightness"),
        ("heigth", "height"),
        ("widht", "width"),
        ("formt", "format"),
        ("fmt", "fm"),
        ("drp", "dpr"),
        ("qality", "quality"),
        ("downlod", "download"),
        ("resise", "resize"),
        ("compres", "compress"),
        ("autocrp", "autocrop"),
        ("foo", None),
        ("bar", None),
        ("x", None),
        ("i", None),
        ("aa", None),
        ("", None),
        ("size", None),
        ("offset", None),
        ("position", None),
        ("callback", None),
        ("x" * 10_000, None),
        ("\N{SNOWMAN}", None),
    ],
)
def test_a_close_name_is_suggested(written: str, meant: str | None) -> None:
    assert closest(written, NAMES) == meant


@pytest.mark.parametrize("name", sorted(name for name in NAMES if len(name) > 3))
def test_a_missing_letter_is_noticed(name: str) -> None:
    for at in range(len(name)):
        meant = closest(name[:at] + name[at + 1 :], NAMES)
        assert meant == name or len(meant or "") in range(len(name) - 2, len(name) + 1), (at, meant)


def test_without_a_close_name_the_advice_lists_all() -> None:
    assert hint("xyzzy", ["limit", "cursor"]) == "use one of: limit, cursor"
    assert hint("curser", ["limit", "cursor"]) == "did you mean 'cursor'?"
    assert hint("xyzzy", ["image"]) == "use 'image'"
