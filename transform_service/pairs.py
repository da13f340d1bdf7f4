"""Splits a query into pairs, which know their place in it for error messages."""

from collections.abc import Iterator
from dataclasses import dataclass

from service_kit.errors import BadRequest
from service_kit.parameters import decoded

_SHOWN = 100
"""Characters of the query that an error shows on each side of the marked place."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One `name=value` pair, decoded, with its place in the raw text of the query."""

    query: str
    start: int
    end: int
    written: str
    """The name in the query."""
    name: str
    """The name of ours that it stands for (aliases.py)."""
    value: str

    def error(self, reason: str, *, value_only: bool = False) -> BadRequest:
        """An error with the pair, or its value, marked."""
        start = self.start
        equals = self.query.find("=", self.start, self.end)
        if value_only and equals != -1 and equals + 1 < self.end:
            start = equals + 1
        return BadRequest(f"{reason}\n{_marked(self.query, start, self.end)}")


def pairs(query: str) -> Iterator[Pair]:
    """The pairs of a raw, percent-encoded query, without empty ones. Raises BadRequest for one without a meaning."""
    start = 0
    for text in query.split("&"):
        end = start + len(text)
        if text:
            try:
                name, value = decoded(text)
            except ValueError as error:
                raise Pair(query, start, end, "", "", "").error(str(error)) from None
            yield Pair(query, start, end, name, name, value)
        start = end + 1


def _marked(text: str, start: int, end: int) -> str:
    """`text` with `^` below the characters from start to end. A long text is cut to what is near them."""
    first, last = max(0, start - _SHOWN), min(len(text), min(end, start + _SHOWN) + _SHOWN)
    before, after = "…" if first else "", "…" if last < len(text) else ""
    marker = " " * (len(before) + start - first) + "^" * max(1, min(end, last) - start)
    return f"  {before}{text[first:last]}{after}\n  {marker}"
