"""Terms: the words and tags by which images are found."""

import contextlib
import json
import re
import unicodedata
from datetime import UTC, datetime, timedelta

from service_kit.errors import ServiceError
from storage_service.metadata.base import ImageRecord, MetadataStore, Statement

_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
"""Chinese and Japanese have no spaces between words, so each character counts as one."""
FOUND_BY = frozenset({"alt", "original_filename", "tags", "title"})
"""Columns with words."""
_LONGEST_WORD, _MOST_TERMS = 64, 256
_TAG = "#"
"""In front of a tag. No word begins with it."""
_TOGETHER = (64, 16, 4, 1)
"""How many terms a statement adds. Few different statements, since connections keep their plans."""
_FORGET_DELETED = "DELETE FROM terms WHERE image_id IN (SELECT image_id FROM images WHERE deleted_at >= $1)"
_LATELY = timedelta(days=7)


def added_terms(record: ImageRecord) -> list[Statement]:
    """The statements that make an image found by its words and tags."""
    terms = [term.encode() for term in _terms(record)]
    statements: list[Statement] = []
    while terms:
        number = next(size for size in _TOGETHER if size <= len(terms))
        rows = ", ".join(f"(${place + 4}, $1, $2, $3)" for place in range(number))
        statement = f"INSERT INTO terms (term, created_at, image_id, space) VALUES {rows}"  # noqa: S608  # numbers only
        statements.append((statement, record.created_at, record.image_id, record.space, *terms[:number]))
        terms = terms[number:]
    return statements


def changed_terms(record: ImageRecord) -> list[Statement]:
    """The statements after which an image is found by the words and tags that it has now."""
    return [("DELETE FROM terms WHERE image_id = $1", record.image_id), *added_terms(record)]


def _terms(record: ImageRecord) -> list[str]:
    tags = json.loads(record.tags)
    words = words_in(" ".join([record.title, record.original_filename, record.alt, *tags]))
    found = [*map(tag_term, tags), *words]
    return list(dict.fromkeys(found))[:_MOST_TERMS]


def words_in(text: str) -> list[str]:
    """The words of a text, in one spelling."""
    return [word[:_LONGEST_WORD] for word in _WORD.findall(_folded(text))]


def _folded(text: str) -> str:
    """The same for all spellings: without accents, which people leave out, and in lower case."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return plain.casefold()


def tag_term(tag: str) -> str:
    """The term of a tag."""
    return _TAG + _folded(tag)


async def forget_deleted(metadata: MetadataStore) -> None:
    """Remove the terms of images that a service of an older version deleted lately, during an update."""
    with contextlib.suppress(ServiceError):  # it is not worth a failed sweep
        await metadata.change(_FORGET_DELETED, datetime.now(UTC) - _LATELY)
