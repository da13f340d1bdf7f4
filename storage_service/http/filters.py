"""The filters of lists, as parameters of the query."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from imaging.formats import FORMATS, by_extension
from imaging.looks import Colour
from service_kit.access import Visibility
from service_kit.errors import BadRequest, NotAcceptable
from service_kit.http import queries
from service_kit.http.endpoints import Parameter
from storage_service.http.images import FormatName
from storage_service.search import MOST_WORDS, Filters
from storage_service.terms import words_in

_MOST_TAGS, _LONGEST = 10, 1_000_000
_Side = Annotated[int, Field(ge=1, le=_LONGEST)]
_SIDES = ("min_width", "max_width", "min_height", "max_height")
_MOMENTS = ("created_after", "created_before")
_COLOURS = {colour.name.lower(): colour for colour in Colour}
ColourName = Annotated[str, Field(json_schema_extra={"enum": [*_COLOURS]})]
FILTERS = (
    Parameter(
        "q", "Words in the title, file name, alt text and tags, all of them; the last may be the beginning of one."
    ),
    Parameter("tags", "Tags, separated by commas; images have all of them."),
    Parameter("format", "The format of the original.", FormatName),
    Parameter("visibility", "Who may see the image.", Visibility),
    Parameter("colour", "A basic colour that the image has much of.", ColourName),
    Parameter("min_width", "Pixels, as stored.", _Side),
    Parameter("max_width", "Pixels, as stored.", _Side),
    Parameter("min_height", "Pixels, as stored.", _Side),
    Parameter("max_height", "Pixels, as stored.", _Side),
    Parameter("created_after", "The earliest upload, such as `2026-01-31T12:00:00Z`, or a day.", AwareDatetime),
    Parameter("created_before", "Uploads before this moment.", AwareDatetime),
)


def filters_in(given: Mapping[str, str], space: str | None) -> Filters:
    """The filters in a query. Raises BadRequest, which says what is wrong with a value."""
    tags = [tag.strip() for tag in given.get("tags", "").split(",") if tag.strip()]
    if len(tags) > _MOST_TAGS:
        raise BadRequest(f"tags={given['tags'][:64]!r} has {len(tags)} tags; use at most {_MOST_TAGS}")
    if "q" in given and not words_in(given["q"]):
        raise BadRequest(f"q={given['q'][:64]!r} has no words; leave q out to list everything")
    if len(words_in(given.get("q", ""))) > MOST_WORDS:
        raise BadRequest(f"q={given['q'][:64]!r} has too many words; use at most {MOST_WORDS}")
    visibility = given.get("visibility")
    if visibility is not None and visibility not in {*Visibility}:
        raise BadRequest(f"visibility={visibility[:64]!r} is unknown; use {', '.join(Visibility)}")
    return Filters(
        space=space,
        words=given.get("q", ""),
        tags=tags,
        format=_format(given["format"]) if "format" in given else None,
        visibility=visibility,
        colour=_colour(given["colour"]) if "colour" in given else None,
        **_given(given, _SIDES, lambda name: queries.whole_number(given, name, 1, _LONGEST)),
        **_given(given, _MOMENTS, lambda name: _moment(name, given[name])),
    )


def _given(given: Mapping[str, str], names: Iterable[str], read: Callable[[str], Any]) -> dict[str, Any]:
    return {name: read(name) for name in names if name in given}


def _format(name: str) -> str:
    try:
        return by_extension(name).name
    except NotAcceptable:
        raise BadRequest(f"format={name[:64]!r} is not a format; use {', '.join(FORMATS)}") from None


def _colour(name: str) -> int:
    if name not in _COLOURS:
        raise BadRequest(f"colour={name[:64]!r} is not a basic colour; use {', '.join(_COLOURS)}")
    return _COLOURS[name]


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadRequest(
            f"{name}={text[:64]!r} is not a moment or a day; write it as 2026-01-31T12:00:00Z or 2026-01-31"
        ) from None
