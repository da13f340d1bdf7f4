"""The figures that must hold, each against its target."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.results import BARE, CLIENTS, IPX, OURS, SYSTEMS, THUMB, THUMBOR, Cell, Results

_TARGETS: dict[str, dict[str, float | None]] = {
    BARE: dict.fromkeys(("jpeg", "png", "webp", "avif"), 0.92),
    THUMBOR: {"jpeg": 1.0, "png": 1.3, "webp": 1.3, "avif": None},
    IPX: dict.fromkeys(("jpeg", "png", "webp", "avif"), 1.2),
}
"""Goodput of ours divided by the other's, at least; None: shown and not judged."""
_CHAIN = "thumb=200"
_CHAIN_TARGETS = {"thumb=200&rotate=90": 0.9, "rotate=90&thumb=200": 0.9}
TOLERANCE = 0.5
"""Points of SSIMULACRA2 that one photo may lose: nobody sees them, and another build of an encoder moves as many."""
_REFUSED = "status 503"
"""How the load generator calls it."""
_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value beside what it is to be."""

    name: str
    value: str
    spread: str
    """From the least to the most of the rounds, where there are any."""
    target: str
    passed: bool | None
    """None where there is no target."""

    @property
    def verdict(self) -> str:
        """In a word."""
        return {True: "pass", False: "FAIL", None: ""}[self.passed]


def figures(results: Results) -> list[Figure]:
    """All that can be told from what was measured."""
    return [
        *_against_others(results),
        *_chains(results),
        *_fidelity(results),
        *_memory(results),
        *_wrong_answers(results),
    ]


def _against_others(results: Results) -> Iterator[Figure]:
    for other, targets in _TARGETS.items():
        for fmt in results.formats():
            name = f"{fmt.upper()} `{THUMB}`, {CLIENTS} clients: goodput of ours / {other}"
            yield from _ratio(name, results.select(OURS, fmt), results.select(other, fmt), targets[fmt])


def _chains(results: Results) -> Iterator[Figure]:
    for fmt in results.formats():
        plain = results.select(OURS, fmt, _CHAIN)
        for chain, target in _CHAIN_TARGETS.items():
            name = f"{fmt.upper()}, {CLIENTS} clients: goodput of `{chain}` / `{_CHAIN}`"
            yield from _ratio(name, results.select(OURS, fmt, chain), plain, target)


def _ratio(name: str, ours: Sequence[Cell], others: Sequence[Cell], target: float | None) -> Iterator[Figure]:
    """The median of the rounds' ratios: what was measured a moment apart is compared."""
    pairs = [(a, b) for a in ours for b in others if a.round == b.round and b.good]
    if pairs:
        ratios = [a.goodput / b.goodput for a, b in pairs]
        middle = statistics.median(ratios)
        yield Figure(
            name,
            f"{middle:.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
            "" if target is None else f"≥ {target:.2f}",
            None if target is None else middle >= target,
        )


def _fidelity(results: Results) -> Iterator[Figure]:
    for fmt in results.formats():
        ours, bare = results.scores_of(OURS, fmt), results.scores_of(BARE, fmt)
        differences = [ours[photo].ssimulacra2 - bare[photo].ssimulacra2 for photo in ours if photo in bare]
        if differences:
            yield Figure(
                f"{fmt.upper()} `{THUMB}`: SSIMULACRA2 of ours less libvips', worst photo of {len(differences)}",
                f"{min(differences):+.2f}",
                f"mean {statistics.fmean(differences):+.2f}",
                f"≥ {-TOLERANCE:+.1f}",
                min(differences) >= -TOLERANCE,
            )


def _memory(results: Results) -> Iterator[Figure]:
    for peak in results.peaks:
        yield Figure(
            f"peak memory of {peak.name}",
            f"{peak.bytes / _MIB:.0f} MiB",
            "",
            "" if peak.limit is None else f"≤ {peak.limit / _MIB:.0f} MiB",
            None if peak.limit is None else 0 < peak.bytes <= peak.limit,
        )


def _wrong_answers(results: Results) -> Iterator[Figure]:
    ours = [cell for cell in results.cells if cell.system == OURS]
    if ours:
        counts = sum((Counter(cell.failures) for cell in ours), Counter())
        refused, good = counts.pop(_REFUSED, 0), sum(cell.good for cell in ours)
        wrong = counts.total()
        asked = f"of {good + refused + wrong}"
        yield Figure("answers of ours that were wrong", str(wrong), asked, "0", wrong == 0)
        yield Figure(
            "answers of ours that were refused, 503: their wait would have been too long", str(refused), asked, "", None
        )


def fidelity_as_text(results: Results) -> str:
    """Mean scores, a line a format."""
    lines = []
    for fmt in results.formats():
        scores = {system: results.scores_of(system, fmt).values() for system in SYSTEMS}
        means = [
            f"{name} {statistics.fmean(s.ssimulacra2 for s in found):.1f}" for name, found in scores.items() if found
        ]
        if means:
            lines.append(f"fidelity of {fmt.upper()}, mean SSIMULACRA2: {', '.join(means)}")
    return "\n".join(lines)


def as_text(found: Sequence[Figure]) -> str:
    """A table for a terminal."""
    rows = [
        ("figure", "value", "spread", "target", ""),
        *((f.name, f.value, f.spread, f.target, f.verdict) for f in found),
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(line.replace("`", "") for line in lines)
