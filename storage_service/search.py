"""Finds images: by words and tags, and by what is known about them."""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from storage_service.metadata.base import COLUMNS, ImageRecord, MetadataStore, Position, Statement

_WORD = re.compile(r"[^\W_]+")
MOST_WORDS = 8
_LONGEST_WORD, _MOST_TERMS, _MOST_COMPLETIONS = 64, 128, 20
_TAG = "#"
"""In front of a tag. No word begins with it."""
_TOGETHER = (64, 16, 4, 1)
"""How many terms a statement adds. Few different statements, since connections keep their plans."""
_SELECT = f"SELECT {', '.join(f'images.{name}' for name in COLUMNS)} FROM images"  # noqa: S608
_COMPLETIONS = f"""
    WITH RECURSIVE found (term, number) AS (
        SELECT (SELECT term FROM terms WHERE term >= $1 AND term < $2 ORDER BY term LIMIT 1), 1
        UNION ALL
        SELECT
            (SELECT term FROM terms WHERE terms.term > found.term AND terms.term < $2 ORDER BY terms.term LIMIT 1),
            number + 1
        FROM found WHERE found.term IS NOT NULL AND number < {_MOST_COMPLETIONS}
    )
    SELECT term FROM found WHERE term IS NOT NULL
"""  # noqa: S608
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
    min_width: int | None = None
    max_width: int | None = None
    min_height: int | None = None
    max_height: int | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


async def search(metadata: MetadataStore, filters: Filters, limit: int, after: Position | None) -> list[ImageRecord]:
    """At most `limit` images, newest first, after the position `after`. Deleted ones are never found."""
    words = _words(filters.words)[:MOST_WORDS]
    terms = [[_encoded(word)] for word in words[:-1]] + [[_encoded(_TAG + _folded(tag))] for tag in filters.tags]
    if words:
        completions = await metadata.fetch(_COMPLETIONS, _encoded(words[-1]), _encoded(words[-1]) + b"\xff")
        terms.append([bytes(row[0]) for row in completions])
    if not all(terms):
        return []
    values: list[object] = [limit]
    conditions = [*_compared(filters, after, values), *_having(terms, values)]
    query = f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY created_at DESC, image_id DESC LIMIT $1"
    rows = await metadata.fetch(query, *values)
    return [ImageRecord.model_validate(dict(zip(COLUMNS, row, strict=True))) for row in rows]


def added_terms(record: ImageRecord) -> list[Statement]:
    """The statements that make an image found by its words and tags."""
    terms = [_encoded(term) for term in _terms(record)]
    statements: list[Statement] = []
    while terms:
        number = next(size for size in _TOGETHER if size <= len(terms))
        rows = ", ".join(f"(${place + 3}, $1, $2)" for place in range(number))
        statement = f"INSERT INTO terms (term, created_at, image_id) VALUES {rows}"  # noqa: S608  # numbers only
        statements.append((statement, record.created_at, record.image_id, *terms[:number]))
        terms = terms[number:]
    return statements


def changed_terms(record: ImageRecord) -> list[Statement]:
    """The statements after which an image is found by the words and tags that it has now."""
    return [("DELETE FROM terms WHERE image_id = $1", record.image_id), *added_terms(record)]


def _compared(filters: Filters, after: Position | None, values: list[object]) -> Iterator[str]:
    def place(value: object) -> str:
        values.append(value)
        return f"${len(values)}"

    yield "deleted_at IS NULL"
    yield f"(expires_at IS NULL OR expires_at > {place(datetime.now(UTC))})"
    if after:
        yield f"(created_at, image_id) < ({place(after.created_at)}, {place(after.image_id)})"
    for name in ("space", "format", "visibility"):
        if (value := getattr(filters, name)) is not None:
            yield f"{name} = {place(value)}"
    for side in ("width", "height"):
        if (least := getattr(filters, f"min_{side}")) is not None:
            yield f"{side} >= {place(least)}"
        if (most := getattr(filters, f"max_{side}")) is not None:
            yield f"{side} <= {place(most)}"
    if filters.created_after:
        yield f"created_at >= {place(filters.created_after)}"
    if filters.created_before:
        yield f"created_at < {place(filters.created_before)}"


def _having(terms: Sequence[Sequence[bytes]], values: list[object]) -> Iterator[str]:
    for any_of in terms:
        places = []
        for term in any_of:
            values.append(term)
            places.append(f"${len(values)}")
        yield f"""EXISTS (
            SELECT 1 FROM terms WHERE terms.image_id = images.image_id AND term IN ({", ".join(places)})
        )"""  # noqa: S608  # places only


def _terms(record: ImageRecord) -> list[str]:
    tags = json.loads(record.tags)
    words = _words(" ".join([record.title, record.original_filename, record.alt, *tags]))
    found = [*(_TAG + _folded(tag) for tag in tags), *words]
    return list(dict.fromkeys(found))[:_MOST_TERMS]


def _words(text: str) -> list[str]:
    return [word[:_LONGEST_WORD] for word in _WORD.findall(_folded(text))]


def _folded(text: str) -> str:
    """The same for all spellings: without accents, which people leave out, and in lower case."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return plain.casefold()


def _encoded(term: str) -> bytes:
    return term.encode()
