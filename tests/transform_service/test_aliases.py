"""The grammar of aliases: what they become, and how they combine."""

import pytest

from service_kit.errors import BadRequest, URITooLong
from service_kit.parameters import CACHE_BUSTERS
from service_kit.signing import PARAMETERS
from transform_service import aliases
from transform_service.chain import PRESET, RESERVED, parse, parse_presets
from transform_service.operations.base import load_operations
from transform_service.operations.resize import FITS
from transform_service.sources.base import load_sources


def operations(query: str) -> list[str]:
    return [str(operation) for operation in parse(query, max_operations=20).operations]


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("w=300", ["resize=300x"]),
        ("h=200", ["resize=x200"]),
        ("width=300&height=200", ["resize=300x200"]),
        ("w=0300&h=200&fit=INSIDE", ["resize=300x200"]),
        ("w=300&rotate=90&h=200&blur=2&fit=cover", ["resize=300x200,cover", "rotate=90", "blur=2"]),
        ("fit=cover&rotate=90&h=200&blur=2&w=300", ["rotate=90", "resize=300x200,cover", "blur=2"]),
        ("rotate=90&dpr=2&w=150", ["rotate=90", "resize=300x"]),
        ("w=33&dpr=1.1", ["resize=36x"]),
        ("w=1&dpr=0.1", ["resize=1x"]),
        ("w=5&dpr=.5", ["resize=3x"]),
        ("w=16383&dpr=1.0", ["resize=16383x"]),
        ("w=300&h=200&fit=cover,enlarge", ["resize=300x200,cover,enlarge"]),
        ("w=300&fit=enlarge", ["resize=300x,enlarge"]),
        ("%77=300&%66it=c%6Fver&h=9", ["resize=300x9,cover"]),
        ("w=300&resize=9x9", ["resize=300x", "resize=9x9"]),
        ("q=80&q=70", ["compress=80", "compress=70"]),
        ("trim&trim=true", ["autocrop", "autocrop"]),
        ("trim=auto", ["autocrop"]),
        ("bg=white&bg=f00", ["background=ffffff", "background=ff0000"]),
        ("v=1&t=2&v=3", []),
    ],
)
def test_aliases_become_operations_at_their_place(query: str, canonical: list[str]) -> None:
    assert operations(query) == canonical


@pytest.mark.parametrize(
    ("fit", "ours"),
    [
        *((fit, fit) for fit in FITS),
        ("clip", "inside"),
        ("max", "inside"),
        ("scale-down", "inside"),
        ("bounds", "inside"),
        ("crop", "cover"),
        ("min", "cover"),
        ("pad", "contain"),
        ("fillmax", "contain"),
        ("scale", "fill"),
        ("stretch", "fill"),
        ("squeeze", "fill"),
    ],
)
def test_fits_of_other_services_have_one_of_ours(fit: str, ours: str) -> None:
    assert operations(f"w=30&h=20&fit={fit}") == operations(f"resize=30x20,{ours}")


def test_a_name_has_one_meaning() -> None:
    ours = {*load_operations(), *RESERVED, PRESET, *load_sources(), *CACHE_BUSTERS, *PARAMETERS}
    assert len(set(aliases.NAMES)) == len(aliases.NAMES)
    assert not ours & set(aliases.NAMES)
    assert {alias.of for alias in (*aliases.RENAMED, *aliases.PARTS.values())} <= {*load_operations(), *RESERVED}


@pytest.mark.parametrize("alias", [*aliases.RENAMED, *aliases.PARTS.values()], ids=lambda alias: alias.names[0])
def test_every_example_is_valid(alias: aliases.Alias) -> None:
    chain = parse(alias.example, max_operations=20)
    assert alias.of in {*(operation.name for operation in chain.operations), *chain.parameters}
    for name in alias.names:
        again = parse(alias.example.replace(alias.names[0], name), max_operations=20)
        assert again == chain


def test_the_sides_of_a_query_are_one_operation_of_the_limit() -> None:
    parse("w=9&h=9&dpr=2&fit=cover&" + "rotate=1&" * 19, max_operations=20)
    with pytest.raises(URITooLong):
        parse("w=9&h=9&" + "rotate=1&" * 20, max_operations=20)


def test_presets_may_be_written_with_aliases() -> None:
    presets = parse_presets({"avatar": "w=64&h=64&fit=cover&q=70"}, max_operations=20)
    chain = parse("w=300&preset=avatar", max_operations=20, presets=presets)
    assert list(map(str, chain.operations)) == ["resize=300x", "resize=64x64,cover", "compress=70"]
    with pytest.raises(ValueError, match="the preset 'x' has format"):
        parse_presets({"x": "fm=webp"}, max_operations=20)


def test_an_error_marks_the_part_that_is_wrong() -> None:
    with pytest.raises(BadRequest) as raised:
        parse("w=300&rotate=90&h=20x&fit=cover", max_operations=20)
    assert raised.value.detail == (
        "h: '20x' is not a whole number such as 300; example: h=200\n"
        "  w=300&rotate=90&h=20x&fit=cover\n"
        "                    ^^^"
    )
