"""The grammar of chains. end_to_end/test_errors.py has a table of its errors."""

import pytest

from service_kit.errors import BadRequest, URITooLong
from transform_service.chain import Parser, parse, parse_presets


def operations(query: str) -> list[str]:
    return [str(operation) for operation in parse(query, max_operations=20).operations]


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", []),
        ("rotate=90&thumb=300&blur=2&compress=75", ["rotate=90", "thumb=300", "blur=2", "compress=75"]),
        ("blur=2&thumb=300", ["blur=2", "thumb=300"]),
        ("rotate=90&rotate=90", ["rotate=90", "rotate=90"]),
        ("&&rotate=90&", ["rotate=90"]),
        ("blur=2.50", ["blur=2.5"]),
        ("blur=.5", ["blur=0.5"]),
        ("rotate=+7.0", ["rotate=7"]),
        ("rotate=-0", ["rotate=0"]),
        ("blur=0.000001", ["blur=0.000001"]),
        ("thumb=007", ["thumb=7"]),
        ("%72otate=%39%30", ["rotate=90"]),
        ("background=F80", ["background=ff8800"]),
        ("background=ff8800ff", ["background=ff8800"]),
        ("background=FF880080", ["background=ff880080"]),
        ("utm_source=x&thumb=9&gclid=1&fbclid=%20", ["thumb=9"]),
    ],
)
def test_a_query_becomes_operations_in_order(query: str, canonical: list[str]) -> None:
    assert operations(query) == canonical


def test_canonical_text_is_stable() -> None:
    for text in ("rotate=33.5", "blur=0.1", "blur=249.999", "compress=0"):
        assert operations(text) == operations(operations(text)[0]) == [text]


def test_reserved_names_are_parameters() -> None:
    chain = parse("format=png&url=http://h/a%26b+c&thumb=9&download=x", max_operations=20, reserved=["url"])
    assert chain.parameters == {"format": "png", "url": "http://h/a&b+c", "download": "x"}
    assert [str(operation) for operation in chain.operations] == ["thumb=9"]


def test_a_parameter_of_another_path_is_unknown() -> None:
    with pytest.raises(BadRequest, match="unknown operation 'url'"):
        parse("url=x", max_operations=20)


def test_an_error_shows_the_query_and_marks_the_place() -> None:
    with pytest.raises(BadRequest) as raised:
        parse("rotate=90&thumb=abc&blur=2", max_operations=20)
    assert raised.value.detail == (
        "thumb: side 'abc' is not a whole number such as 300; example: thumb=300\n"
        "  rotate=90&thumb=abc&blur=2\n"
        "                  ^^^"
    )


def test_the_number_of_operations_is_limited() -> None:
    parse("rotate=1&" * 20, max_operations=20)
    with pytest.raises(URITooLong):
        parse("rotate=1&" * 21, max_operations=20)


def test_an_error_shows_only_a_part_of_a_long_query() -> None:
    with pytest.raises(BadRequest) as raised:
        parse(f"utm_a={'x' * 5000}&thumb={'9' * 5000}&utm_b={'y' * 5000}", max_operations=20)
    _, shown, marker = raised.value.detail.split("\n")
    assert len(shown) < 350
    assert shown.startswith("  …x")
    assert shown.endswith("9…")
    assert set(shown[marker.index("^") : marker.rindex("^") + 1]) == {"9"}
    assert shown[marker.index("^") - 7 : marker.index("^")] == "&thumb="


def test_a_preset_is_inserted_at_its_place() -> None:
    presets = parse_presets({"avatar": "thumb=64&grayscale"}, max_operations=20)
    chain = parse("flip&preset=avatar&flop", max_operations=20, presets=presets)
    assert [str(operation) for operation in chain.operations] == ["flip", "thumb=64", "grayscale", "flop"]
    with pytest.raises(URITooLong):
        parse("preset=avatar&" * 11, max_operations=20, presets=presets)


def test_an_unknown_preset_is_marked() -> None:
    presets = parse_presets({"avatar": "thumb=64"}, max_operations=20)
    with pytest.raises(BadRequest) as raised:
        parse("preset=avatr", max_operations=20, presets=presets)
    assert raised.value.detail == ("unknown preset 'avatr'; did you mean 'avatar'?\n  preset=avatr\n         ^^^^^")
    with pytest.raises(BadRequest, match="unknown preset 'avatar'; no presets are configured"):
        parse("preset=avatar", max_operations=20)


@pytest.mark.parametrize("text", ["thumb=none", "preset=other", "format=webp", "thumb=1&" * 21])
def test_an_invalid_preset_is_reported(text: str) -> None:
    with pytest.raises(ValueError, match=r"PRESETS: the preset 'x'"):
        parse_presets({"x": text}, max_operations=20)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("resize=300px", "'300px' is not a size such as 300x200"),
        ("resize=", "`box` is missing"),
        ("crop=300", "'300' is not a size"),
        ("resize=0x9", "has a side outside of 1 to 16383 pixels"),
        ("resize=x", "is not a size"),
        ("resize=9x9,stretch", "'stretch' is not `enlarge` or one of: inside, outside"),
        ("resize=9x9,cover,inside", "'inside' is a second fit; give only one"),
        ("resize", "`box` is missing"),
        ("crop=9x", "lacks a side"),
        ("crop=9x9,up", "crop: 'up' is not a place; use one of: centre, north"),
        ("crop=1,9x9", "is not a size"),
        ("crop=-1,2,9x9", "'-1' is not a whole number"),
        ("crop=1,2,9x9,north", "takes WxH, WxH,PLACE or X,Y,WxH"),
        ("flip=2", "takes no arguments, not 1"),
        ("watermark=abc", "'abc' is not an image ID"),
        (f"watermark={'0' * 32},2", "opacity must be at most 1, not 2"),
        ("page=-1", "'-1' is not a whole number"),
        ("sharpen=11", "sigma must be at most 10, not 11"),
    ],
)
def test_a_bad_argument_says_what_is_wrong(query: str, text: str) -> None:
    with pytest.raises(BadRequest) as raised:
        parse(query, max_operations=20)
    assert text in raised.value.detail
    assert raised.value.detail.splitlines()[-1].strip("^ ") == ""


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("resize=300x,inside", "resize=300x"),
        ("resize=300x200,enlarge,cover", "resize=300x200,cover,enlarge"),
        ("crop=09x9", "crop=9x9,centre"),
        ("crop=9x9,center", "crop=9x9,centre"),
        ("crop=9X9,top", "crop=9x9,north"),
        ("crop=9x9,Left", "crop=9x9,west"),
        (f"watermark={'a' * 32},bottom", f"watermark={'a' * 32},south,1"),
        ("resize=300", "resize=300x"),
        ("resize=300X200", "resize=300x200"),
        ("background=%23ff8800", "background=ff8800"),
        ("background=%23F80", "background=ff8800"),
        ("grayscale=1", "grayscale"),
        ("flip=true", "flip"),
        ("crop=1,02,9x9", "crop=1,2,9x9"),
        (f"watermark={'a' * 32},.50", f"watermark={'a' * 32},centre,0.5"),
        (f"watermark={'a' * 32},south,1,0.25", f"watermark={'a' * 32},south,1,0.25"),
        ("blur=2,0.2", "blur=2"),
    ],
)
def test_equal_arguments_have_the_same_canonical_text(text: str, canonical: str) -> None:
    assert operations(text) == [canonical]


def test_a_chain_is_parsed_once_for_each_set_of_parameters() -> None:
    parser = Parser(max_operations=3, presets=parse_presets({"small": "thumb=9"}, max_operations=3))
    first = parser.parse("preset=small&blur=2")
    assert parser.parse("preset=small&blur=2") is first
    assert first == parse("thumb=9&blur=2", max_operations=3)
    assert parser.parse("url=x&thumb=9", ("url",)).parameters == {"url": "x"}
    for _ in range(2):
        with pytest.raises(BadRequest, match="unknown operation 'url'"):
            parser.parse("url=x&thumb=9")
    long = "thumb=9&utm_source=" + "x" * 300
    assert parser.parse(long) is not parser.parse(long)
