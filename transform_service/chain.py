"""From the text of a query to a chain of operations, or to an error that marks the place."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from service_kit.errors import BadRequest, URITooLong
from transform_service.operations.base import OPERATIONS, BadArgument, Operation, Steps, load_operations

load_operations()

RESERVED = frozenset({"format", "expires", "signature", "download"})
"""Names with a meaning of their own on every path; no operations."""
PRESET = "preset"
"""The name that stands for a chain of the configuration."""

_SHOWN = 100
"""Characters of a query that an error shows on each side of the place it marks."""
_TRACKING = re.compile(r"utm_\w*|gclid|fbclid")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Chain:
    """Operations in the order in which they run, and the reserved parameters beside them."""

    operations: Steps
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Pair:
    """One `name=value` of the query, with its place in the raw text for error messages."""

    query: str
    start: int
    end: int

    def error(self, reason: str, *, value_only: bool = False) -> BadRequest:
        start = self.start
        equals = self.query.find("=", self.start, self.end)
        if value_only and equals != -1 and equals + 1 < self.end:
            start = equals + 1
        return BadRequest(f"{reason}\n{_marked(self.query, start, self.end)}")

    def decoded(self) -> tuple[str, str]:
        """Name and value, each percent-decoded once."""
        raw = self.query[self.start : self.end]
        if _BAD_ESCAPE.search(raw):
            raise self.error("a % that no two hex digits follow; write %25 for a percent sign")
        name, _, value = raw.partition("=")
        try:
            return unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()
        except UnicodeDecodeError:
            raise self.error("the percent-encoded bytes are not UTF-8") from None


def parse(
    query: str, *, max_operations: int, reserved: Collection[str] = (), presets: Mapping[str, Steps] | None = None
) -> Chain:
    """Parse the raw (still percent-encoded) text behind the `?`.

        query     = [ pair *( "&" pair ) ]
        pair      = name [ "=" arguments ]      ; percent-decoded once, "+" stands for itself
        arguments = argument *( "," argument )  ; as the operation's class defines them

    Operations keep the query's order and may repeat; `preset=NAME` stands for the operations of that preset. The names
    in `RESERVED` and `reserved` are no operations and may stand once. Tracking parameters (utm_*, gclid, fbclid) are
    ignored. Raises BadRequest with the place marked, and URITooLong for more than `max_operations`.
    """
    operations: list[Operation] = []
    parameters: dict[str, str] = {}
    for pair in _pairs(query):
        name, value = pair.decoded()
        if name in RESERVED or name in reserved:
            if name in parameters:
                raise pair.error(f"{name} stands twice; give it once")
            parameters[name] = value
        elif not _TRACKING.fullmatch(name):
            operations += _preset(pair, value, presets or {}) if name == PRESET else [_operation(pair, name, value)]
            if len(operations) > max_operations:
                raise URITooLong(f"the chain has more than {max_operations} operations, the most that is allowed")
    return Chain(tuple(operations), parameters)


def parse_presets(texts: Mapping[str, str], *, max_operations: int) -> Mapping[str, Steps]:
    """The operations of each preset; ValueError says which one is wrong, and where."""
    presets = {}
    for name, text in texts.items():
        try:
            chain = parse(text, max_operations=max_operations)
        except (BadRequest, URITooLong) as error:
            raise ValueError(f"PRESETS: the preset {name!r}: {error}") from error
        if chain.parameters:
            raise ValueError(f"PRESETS: the preset {name!r} has {', '.join(chain.parameters)}; only operations can be")
        presets[name] = chain.operations
    return presets


def _pairs(query: str) -> Iterator[_Pair]:
    start = 0
    for text in query.split("&"):
        if text:
            yield _Pair(query, start, start + len(text))
        start += len(text) + 1


def _marked(text: str, start: int, end: int) -> str:
    """`text` with a line of `^` below start to end; of a long text the surroundings only."""
    first, last = max(0, start - _SHOWN), min(len(text), min(end, start + _SHOWN) + _SHOWN)
    before, after = "…" if first else "", "…" if last < len(text) else ""
    marker = " " * (len(before) + start - first) + "^" * max(1, min(end, last) - start)
    return f"  {before}{text[first:last]}{after}\n  {marker}"


def _preset(pair: _Pair, name: str, presets: Mapping[str, Steps]) -> Steps:
    if name not in presets:
        raise pair.error(f"there is no preset {name[:64]!r}; {_hint(name, presets)}", value_only=True)
    return presets[name]


def _hint(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(known)) or 'none'}"


def _operation(pair: _Pair, name: str, value: str) -> Operation:
    if name not in OPERATIONS:
        raise pair.error(f"unknown operation {name[:64]!r}; {_hint(name, [*OPERATIONS, PRESET])}")
    try:
        return OPERATIONS[name].parse(value)
    except BadArgument as error:
        example = OPERATIONS[name].examples[0]
        raise pair.error(f"{name}: {error}; an example: {example}", value_only=True) from error
