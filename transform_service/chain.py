"""Parses a query into a chain of operations. Errors mark the place in the query."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from service_kit.errors import BadRequest, URITooLong
from transform_service.operations.base import OPERATIONS, BadArgument, Operation, Steps, load_operations

load_operations()

RESERVED = frozenset({"format", "expires", "signature", "download"})
"""Parameters that are not operations, on any path."""
PRESET = "preset"
"""The parameter that inserts a preset."""

_SHOWN = 100
"""Characters of the query that an error shows on each side of the marked place."""
TRACKING = re.compile(r"utm_.*|gclid|fbclid", re.DOTALL)
"""Tracking parameters, which are ignored. Varnish removes the same ones (varnish/urls.vcl); a test compares them."""
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Chain:
    """Operations in the order in which they run, and the parameters that are not operations."""

    operations: Steps
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Pair:
    """One `name=value` pair of the query, with its place in the raw text for error messages."""

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
        """The name and the value, each percent-decoded once."""
        raw = self.query[self.start : self.end]
        if _BAD_ESCAPE.search(raw):
            raise self.error("`%` must be followed by two hex digits; write a percent sign as %25")
        name, _, value = raw.partition("=")
        try:
            return unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()
        except UnicodeDecodeError:
            raise self.error("the percent-encoded bytes are not valid UTF-8") from None


def parse(
    query: str, *, max_operations: int, reserved: Collection[str] = (), presets: Mapping[str, Steps] | None = None
) -> Chain:
    """Parse the raw, percent-encoded text after the `?`.

        query     = [ pair *( "&" pair ) ]
        pair      = name [ "=" arguments ]      ; percent-decoded once, "+" is a plus sign
        arguments = argument *( "," argument )  ; as the class of the operation defines

    Operations keep the order of the query and may repeat. `preset=NAME` inserts the operations of that preset. Names in
    RESERVED and `reserved` are parameters, not operations, and may appear once. Tracking parameters are ignored.
    Raises BadRequest with the place marked, and URITooLong for more than `max_operations`.
    """
    operations: list[Operation] = []
    parameters: dict[str, str] = {}
    for pair in _pairs(query):
        name, value = pair.decoded()
        if name in RESERVED or name in reserved:
            if name in parameters:
                raise pair.error(f"`{name}` appears twice; use it once")
            parameters[name] = value
        elif not TRACKING.fullmatch(name):
            operations += _preset(pair, value, presets or {}) if name == PRESET else [_operation(pair, name, value)]
            if len(operations) > max_operations:
                raise URITooLong(f"the chain has more than {max_operations} operations")
    return Chain(tuple(operations), parameters)


def parse_presets(texts: Mapping[str, str], *, max_operations: int) -> Mapping[str, Steps]:
    """The operations of each preset. Raises ValueError for an invalid one, with its name and the place marked."""
    presets = {}
    for name, text in texts.items():
        try:
            chain = parse(text, max_operations=max_operations)
        except (BadRequest, URITooLong) as error:
            raise ValueError(f"PRESETS: the preset {name!r}: {error}") from error
        if chain.parameters:
            raise ValueError(f"PRESETS: the preset {name!r} has {', '.join(chain.parameters)}; use operations only")
        presets[name] = chain.operations
    return presets


def _pairs(query: str) -> Iterator[_Pair]:
    start = 0
    for text in query.split("&"):
        if text:
            yield _Pair(query, start, start + len(text))
        start += len(text) + 1


def _marked(text: str, start: int, end: int) -> str:
    """`text` with `^` below the characters from start to end. A long text is cut to what is near them."""
    first, last = max(0, start - _SHOWN), min(len(text), min(end, start + _SHOWN) + _SHOWN)
    before, after = "…" if first else "", "…" if last < len(text) else ""
    marker = " " * (len(before) + start - first) + "^" * max(1, min(end, last) - start)
    return f"  {before}{text[first:last]}{after}\n  {marker}"


def _preset(pair: _Pair, name: str, presets: Mapping[str, Steps]) -> Steps:
    if name not in presets:
        hint = _hint(name, presets) if presets else "no presets are configured (PRESETS)"
        raise pair.error(f"unknown preset {name[:64]!r}; {hint}", value_only=True)
    return presets[name]


def _hint(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"use one of: {', '.join(sorted(known))}"


def _operation(pair: _Pair, name: str, value: str) -> Operation:
    if name not in OPERATIONS:
        raise pair.error(f"unknown operation {name[:64]!r}; {_hint(name, [*OPERATIONS, PRESET])}")
    try:
        return OPERATIONS[name].parse(value)
    except BadArgument as error:
        example = OPERATIONS[name].examples[0]
        raise pair.error(f"{name}: {error}; example: {example}", value_only=True) from error
