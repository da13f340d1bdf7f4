"""Parses a query into a chain of operations. Errors mark the place in the query."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from cachetools import LRUCache

from imaging.formats import Format, by_extension
from service_kit import signing
from service_kit.errors import BadRequest, URITooLong
from service_kit.parameters import DOWNLOAD, is_ignored, misplaced
from service_kit.suggestions import closest, hint
from transform_service import aliases
from transform_service.operations.base import OPERATIONS, BadArgument, Operation, Steps, load_operations
from transform_service.pairs import Pair, pairs

load_operations()

FORMAT = "format"
"""The parameter that names the output format, like an extension."""
PRESET = "preset"
"""The parameter that inserts a preset."""
_REMEMBERED, _LONGEST_REMEMBERED = 1000, 256
"""Chains, and characters of a query. Longer ones are rarely repeated."""
RESERVED = frozenset({FORMAT, DOWNLOAD})
"""Parameters that are not operations, on any path."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Operations in the order in which they run, and the parameters that are not operations."""

    query: str = field(compare=False)
    """As it was written."""
    operations: Steps
    parameters: Mapping[str, str]


class Parser:
    """Parses queries, and remembers the chains that it has parsed lately: most requests repeat one of few."""

    def __init__(self, *, max_operations: int, presets: Mapping[str, Steps]) -> None:
        self._max_operations = max_operations
        self._presets = presets
        self._parsed: LRUCache[tuple[str, Collection[str]], Chain] = LRUCache(_REMEMBERED)

    def parse(self, query: str, reserved: tuple[str, ...] = ()) -> Chain:
        """The chain of a query. See `parse`, whose errors it raises."""
        known = self._parsed.get((query, reserved))
        if known is None:
            known = parse(query, max_operations=self._max_operations, reserved=reserved, presets=self._presets)
            if len(query) <= _LONGEST_REMEMBERED:
                self._parsed[query, reserved] = known
        return known


def parse(
    query: str, *, max_operations: int, reserved: Collection[str] = (), presets: Mapping[str, Steps] | None = None
) -> Chain:
    """Parse the raw, percent-encoded text after the `?`.

        query     = [ pair *( "&" pair ) ]
        pair      = name [ "=" arguments ]      ; percent-decoded once, "+" is a plus sign
        arguments = argument *( "," argument )  ; as the class of the operation defines

    Operations keep the order of the query and may repeat. Aliases become operations first (aliases.py).
    `preset=NAME` inserts the operations of that preset. Names in RESERVED and `reserved` are parameters, not
    operations, and may appear once. Tracking parameters and cache busters are ignored. Raises BadRequest with the
    place marked, and URITooLong for more than `max_operations`.
    """
    operations: list[Operation] = []
    parameters: dict[str, str] = {}
    for pair in aliases.rewritten(pairs(query)):
        if pair.name in RESERVED or pair.name in reserved:
            if pair.name in parameters:
                raise pair.error(_repeated(pair))
            parameters[pair.name] = pair.value
        elif not is_ignored(pair.name):
            operations += _preset(pair, presets or {}) if pair.name == PRESET else [_operation(pair)]
            if len(operations) > max_operations:
                raise URITooLong(f"the chain has more than {max_operations} operations")
    return Chain(query, tuple(operations), parameters)


def canonical(operations: Steps, fmt: Format) -> str:
    """The text of a chain with its format, such as `webp?thumb=300`. It is the same for all spellings.

    It does not name other images, which may be deleted: `webp?watermark=*`.
    """
    texts = (f"{operation.name}=*" if operation.overlays() else str(operation) for operation in operations)
    return f"{fmt.extension}?{'&'.join(texts)}".rstrip("?")


def parse_canonical(
    text: str, *, max_operations: int, presets: Mapping[str, Steps] | None = None
) -> tuple[Steps, Format]:
    """The operations and the format of a text like that, in any spelling.

    Raises BadRequest with the place marked, URITooLong, and NotAcceptable for an unknown format.
    """
    extension, _, query = text.removeprefix(".").partition("?")
    fmt = by_extension(extension)
    chain = parse(query, max_operations=max_operations, presets=presets)
    if chain.parameters:
        raise BadRequest(f"the chain has {', '.join(chain.parameters)}; use operations only")
    for operation in chain.operations:
        if operation.overlays():
            raise BadRequest(
                f"{operation.name} shows another image, which may be deleted; only other chains can be stored"
            )
    return chain.operations, fmt


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


def _repeated(pair: Pair) -> str:
    other = "" if pair.written == pair.name else f", as `{pair.written}`"
    return f"`{pair.name}` appears twice{other}; use it once"


def _preset(pair: Pair, presets: Mapping[str, Steps]) -> Steps:
    if pair.value not in presets:
        advice = hint(pair.value, sorted(presets)) if presets else "no presets are configured (PRESETS)"
        raise pair.error(f"unknown preset {pair.value[:64]!r}; {advice}", value_only=True)
    return presets[pair.value]


def _operation(pair: Pair) -> Operation:
    if pair.name in signing.PARAMETERS:
        raise pair.error(misplaced(pair.name))
    if pair.name not in OPERATIONS:
        raise pair.error(f"unknown operation {pair.name[:64]!r}; {_advice(pair.name)}")
    cls = OPERATIONS[pair.name]
    try:
        return cls.parse(pair.value)
    except BadArgument as error:
        example = cls.examples[0].replace(pair.name, pair.written, 1)
        said = str(error) if str(error).startswith(f"{pair.written} ") else f"{pair.written}: {error}"
        raise pair.error(f"{said}; example: {example}", value_only=True) from error


def _advice(name: str) -> str:
    """The name that was meant, of any kind; without one, all operations."""
    if name in _AUTOMATIC:
        return "write format=auto"
    meant = closest(name, [*OPERATIONS, PRESET, *RESERVED, *aliases.NAMES])
    if meant:
        return f"did you mean {meant!r}?"
    return f"{hint('', sorted([*OPERATIONS, PRESET]))}, or an alias: {', '.join(sorted(aliases.NAMES))}"


_AUTOMATIC = {"auto", "f_auto"}
"""How other services spell it."""
