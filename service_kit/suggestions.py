"""Names that somebody may have meant: suggested only if they are close to what was written."""

from collections.abc import Collection
from itertools import takewhile

_LONGEST = 32
"""Longer names are not compared: no name of ours has more than half as many characters."""
_ABBREVIATION = 3
"""Characters from which on the beginning of a single name stands for it."""


def hint(written: str, known: Collection[str]) -> str:
    """The advice after an unknown name: the one that is close, or else all of them."""
    meant = closest(written, known)
    if meant is not None:
        return f"did you mean {meant!r}?"
    return f"use one of: {', '.join(known)}" if len(known) > 1 else f"use {next(iter(known))!r}"


def closest(written: str, known: Collection[str]) -> str | None:
    """The known name with the fewest edits from `written`, in any case; None if none is close.

    Close is one edit for names of 3 to 5 characters, two for up to 8, and three above that, so that `foo` suggests
    nothing. The beginning of a single name counts as one edit.
    """
    text = written.lower()
    if len(text) > _LONGEST:
        return None
    longer = [name for name in known if name.lower().startswith(text)]
    begun = longer[0] if len(longer) == 1 and len(text) >= _ABBREVIATION else None

    def distance(name: str) -> tuple[int, int]:
        edits = _edits(text, name.lower())
        return min(edits, 1) if name == begun else edits, -_common(text, name.lower())

    meant = min(known, key=distance, default=None)
    return None if meant is None or distance(meant)[0] > _allowed(len(text)) else meant


def _allowed(length: int) -> int:
    return min(length // 3, 1 if length < len("abcdef") else 3)


def _common(one: str, other: str) -> int:
    """The number of characters at the beginning that are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _edits(one: str, other: str) -> int:
    """The characters to insert, remove, replace or swap with their neighbour (optimal string alignment distance)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, right in enumerate(other, 1):
            edits = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                edits = min(edits, earlier[j - 2] + 1)
            row.append(edits)
    return row[-1]
