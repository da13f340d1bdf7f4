"""Finds images by their terms and facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from storage_service.metadata.base import COLUMNS, ImageRecord, MetadataStore, Position
from storage_service.terms import tag_term, words_in

MOST_WORDS = 16
_MOST_COMPLETIONS = 20
_COLUMNS = ", ".join(f"images.{name}" for name in COLUMNS)
_NEWEST = "ORDER BY created_at DESC, image_id DESC"
_MOST_CANDIDATES, _COUNTED = 2500, 2000
_LAST = b"\xff"
"""Behind all characters in UTF-8."""
_ONE_BY_ONE = "LIMIT 1 OFFSET 0"
"""Makes PostgreSQL look at one candidate after the other, in their order, instead of joining all of them first."""


def _completions(within: str) -> str:
    first = f"SELECT term FROM terms WHERE {within} term >= $1 AND term < $2 ORDER BY term LIMIT 1"  # noqa: S608
    following = f"SELECT term FROM terms WHERE {within} terms.term > found.term AND terms.term < $2"  # noqa: S608
    return f"""
        WITH RECURSIVE found (term, number) AS (
            SELECT ({first}), 1
            UNION ALL
            SELECT ({following} ORDER BY terms.term LIMIT 1), number + 1
            FROM found WHERE found.term IS NOT NULL AND number < {_MOST_COMPLETIONS}
        )
        SELECT term FROM found WHERE term IS NOT NULL
    """  # noqa: S608


_COMPLETIONS, _COMPLETIONS_IN_SPACE = _completions(""), _completions("terms.space = $3 AND")
"""The terms with a beginning, each found in the index: there may be a million images with the first of them."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What images have to have, all of it. None and empty: anything."""

    space: str | None = None
    words: str = ""
    """All of them, in any order. The last one may be the beginning of a word."""
    tags: Sequence[str] = ()
    format: str | None = None
    visibility: str | None = None
    colour: int | None = None
    """One of imaging.looks.Colour."""
    min_width: int | None = None
    max_width: int | None = None
    min_height: int | None = None
    max_height: int | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Images that were found, newest first, and where to go on; None at the end.

    It may have fewer images than were asked for, even none, before the end: a search looks at so many candidates only.
    """

    images: Sequence[ImageRecord]
    next: Position | None


async def search(metadata: MetadataStore, filters: Filters, limit: int, after: Position | None) -> Page:
    """A page of at most `limit` images, after a position. Deleted and expired images are never found."""
    sought = await _rarest_first(metadata, filters.space, _sought(filters))
    terms = await sought[0].terms(metadata, filters.space) if sought else None
    if terms == []:
        return Page((), None)
    values: list[object] = []
    walked = f"{_candidates(terms, filters, after, values)} LIMIT {_MOST_CANDIDATES}"
    conditions = " AND ".join([*(each.condition(values) for each in sought[1:]), _known_facts(filters, values)])
    # The last candidate comes with the hits, so that the next page begins behind it, whatever changes meanwhile.
    query = f"""
        SELECT hits.number, hits.fits, {_COLUMNS} FROM (
            SELECT * FROM (
                SELECT created_at, image_id, number, {conditions} AS fits FROM (
                    SELECT created_at, image_id, row_number() OVER ({_NEWEST}) AS number FROM ({walked}) AS walked
                ) AS candidates
            ) AS judged
            WHERE fits OR number = {_MOST_CANDIDATES} {_NEWEST} LIMIT {limit + 1}
        ) AS hits JOIN images ON images.image_id = hits.image_id
        ORDER BY images.created_at DESC, images.image_id DESC
    """  # noqa: S608  # placeholders and numbers only
    rows = await metadata.walk(query, *values)
    found = [ImageRecord.model_validate(dict(zip(COLUMNS, row[2:], strict=True))) for row in rows]
    images = [image for image, row in zip(found, rows, strict=True) if row[1]]
    if len(images) > limit:
        return Page(images[:limit], _position(images[limit - 1]))
    is_cut = bool(rows) and rows[-1][0] == _MOST_CANDIDATES
    return Page(images, _position(found[-1]) if is_cut else None)


@dataclass(frozen=True, slots=True)
class _Sought:
    """A term that images have to have, or the beginning of one."""

    term: bytes
    is_whole: bool = True

    async def terms(self, metadata: MetadataStore, space: str | None) -> list[bytes]:
        """The terms that it may be."""
        if self.is_whole:
            return [self.term]
        query, more = (_COMPLETIONS, ()) if space is None else (_COMPLETIONS_IN_SPACE, (space,))
        return [bytes(row[0]) for row in await metadata.walk(query, self.term, self.term + _LAST, *more)]

    def matches(self, values: list[object]) -> str:
        """Whether a row has it."""
        if self.is_whole:
            return f"term = {_place(self.term, values)}"
        return f"term >= {_place(self.term, values)} AND term < {_place(self.term + _LAST, values)}"

    def condition(self, values: list[object]) -> str:
        """Whether a candidate has it."""
        return f"""EXISTS (
            SELECT 1 FROM terms WHERE terms.image_id = candidates.image_id AND {self.matches(values)} {_ONE_BY_ONE}
        )"""  # noqa: S608


def _sought(filters: Filters) -> list[_Sought]:
    words = words_in(filters.words)[:MOST_WORDS]
    tags = [_Sought(tag_term(tag).encode()) for tag in filters.tags]
    begun = [_Sought(word.encode(), is_whole=False) for word in words[-1:]]
    return [*tags, *(_Sought(word.encode()) for word in words[:-1]), *begun]


async def _rarest_first(metadata: MetadataStore, space: str | None, sought: list[_Sought]) -> list[_Sought]:
    """In the order of how many images have them, counted up to a limit. The databases' own guesses are too wrong."""
    if len(sought) < 2:  # noqa: PLR2004
        return sought
    values: list[object] = []
    within = "" if space is None else f"space = {_place(space, values)} AND "
    few = (f"SELECT 1 FROM terms WHERE {within}{each.matches(values)} LIMIT {_COUNTED}" for each in sought)  # noqa: S608
    counts = ", ".join(f"(SELECT count(*) FROM ({each}) AS few)" for each in few)  # noqa: S608
    ((*numbers,),) = await metadata.walk(f"SELECT {counts}", *values)
    return [sought[place] for place in sorted(range(len(sought)), key=lambda place: numbers[place])]


def _candidates(terms: Sequence[bytes] | None, filters: Filters, after: Position | None, values: list[object]) -> str:
    """Images that have one of the terms, or all images, newest first: in the order of an index."""
    # By space, even if there is no term: a position must not name images of others.
    bounds = [] if filters.space is None else [f"space = {_place(filters.space, values)}"]
    if after:
        bounds.append(
            f"(created_at, image_id) < ({_place(after.created_at, values)}, {_place(after.image_id, values)})"
        )
    if filters.created_after:
        bounds.append(f"created_at >= {_place(filters.created_after, values)}")
    if filters.created_before:
        bounds.append(f"created_at < {_place(filters.created_before, values)}")
    if terms is None:
        where = " AND ".join(["deleted_at IS NULL", *bounds])
        return f"SELECT created_at, image_id FROM images WHERE {where} {_NEWEST}"  # noqa: S608
    parts = []
    for number, term in enumerate(terms):
        where = " AND ".join([f"term = {_place(term, values)}", *bounds])
        # Each with a limit of its own, so that PostgreSQL merges them instead of sorting all.
        part = f"SELECT created_at, image_id FROM terms WHERE {where} {_NEWEST} LIMIT {_MOST_CANDIDATES}"  # noqa: S608
        parts.append(f"SELECT * FROM ({part}) AS of_{number}")  # noqa: S608
    return f"SELECT DISTINCT created_at, image_id FROM ({' UNION ALL '.join(parts)}) AS any_of {_NEWEST}"  # noqa: S608


def _known_facts(filters: Filters, values: list[object]) -> str:
    facts = ["deleted_at IS NULL", f"(expires_at IS NULL OR expires_at > {_place(datetime.now(UTC), values)})"]
    names = [name for name in ("format", "visibility") if getattr(filters, name) is not None]
    facts += [f"{name} = {_place(getattr(filters, name), values)}" for name in names]
    if filters.colour is not None:
        has_it = f"looks.sha256 = images.sha256 AND (looks.colours & {_place(filters.colour, values)}) <> 0"
        facts.append(f"EXISTS (SELECT 1 FROM looks WHERE {has_it})")  # noqa: S608
    for side in ("width", "height"):
        if (least := getattr(filters, f"min_{side}")) is not None:
            facts.append(f"{side} >= {_place(least, values)}")
        if (most := getattr(filters, f"max_{side}")) is not None:
            facts.append(f"{side} <= {_place(most, values)}")
    return f"""EXISTS (
        SELECT 1 FROM images WHERE images.image_id = candidates.image_id AND {" AND ".join(facts)} {_ONE_BY_ONE}
    )"""  # noqa: S608


def _place(value: object, values: list[object]) -> str:
    values.append(value)
    return f"${len(values)}"


def _position(record: ImageRecord) -> Position:
    return Position(record.created_at, record.image_id)
