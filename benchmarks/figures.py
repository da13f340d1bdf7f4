"""The figures that are judged, each with its target."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from benchmarks.results import BARE, BEFORE, CLIENTS, IPX, OURS, THUMB, THUMBOR, Cell, Results
from measuring.figures import Figure, extremes

_TARGETS: dict[str, dict[str, float | None]] = {
    BARE: dict.fromkeys(("jpeg", "png", "webp", "avif"), 0.92),
    THUMBOR: {"jpeg": 1.0, "png": 1.3, "webp": 1.3, "avif": None},
    IPX: dict.fromkeys(("jpeg", "png", "webp", "avif"), 1.2),
}
"""The least ratio of our goodput to the other's. None: shown, but not judged."""
_CHAIN = "thumb=200"
_CHAIN_TARGETS = {"thumb=200&rotate=90": 0.9, "rotate=90&thumb=200": 0.9}
_TOLERANCE = 0.5
"""Points of SSIMULACRA2 that one photo may lose. They are invisible, and another build of an encoder moves as many."""
_REFUSED = "status 503"
_MIB = 1024**2


def figures(results: Results) -> list[Figure]:
    """All figures that the results have."""
    parts = (_before, _peers, _chains, _fidelity, _memory, _wrong_answers)
    return [figure for part in parts for figure in part(results)]


def _before(results: Results) -> Iterator[Figure]:
    """Shown and not judged: the spread of the rounds says what a difference means."""
    for fmt in results.formats():
        for chain in dict.fromkeys(cell.chain for cell in results.cells if cell.system == BEFORE):
            now, before = results.select(OURS, fmt, chain), results.select(BEFORE, fmt, chain)
            yield from _ratio(f"{fmt.upper()} `{chain}`, {CLIENTS} clients: goodput now / before", now, before, None)
            if now and before:
                ratio = statistics.median(c.peak_rss for c in now) / statistics.median(c.peak_rss for c in before)
                yield Figure(f"{fmt.upper()} `{chain}`: peak memory now / before", f"{ratio:.2f}")


def _peers(results: Results) -> Iterator[Figure]:
    for other, targets in _TARGETS.items():
        for fmt in results.formats():
            name = f"{fmt.upper()} `{THUMB}`, {CLIENTS} clients: our goodput / {other}'s"
            yield from _ratio(name, results.select(OURS, fmt), results.select(other, fmt), targets[fmt])


def _chains(results: Results) -> Iterator[Figure]:
    for fmt in results.formats():
        plain = results.select(OURS, fmt, _CHAIN)
        for chain, target in _CHAIN_TARGETS.items():
            name = f"{fmt.upper()}, {CLIENTS} clients: goodput of `{chain}` / `{_CHAIN}`"
            yield from _ratio(name, results.select(OURS, fmt, chain), plain, target)


def _ratio(name: str, ours: Sequence[Cell], others: Sequence[Cell], target: float | None) -> Iterator[Figure]:
    """The median of the rounds' ratios, which compare what was measured moments apart."""
    ratios = [a.goodput / b.goodput for a in ours for b in others if a.round == b.round and b.good]
    if ratios:
        middle = statistics.median(ratios)
        text, passed = ("", None) if target is None else (f"≥ {target:.2f}", middle >= target)
        yield Figure(name, f"{middle:.2f}", extremes(ratios), text, passed)


def _fidelity(results: Results) -> Iterator[Figure]:
    for fmt in results.formats():
        ours, bare = results.scores_of(OURS, fmt), results.scores_of(BARE, fmt)
        differences = [ours[photo].ssimulacra2 - bare[photo].ssimulacra2 for photo in ours if photo in bare]
        if differences:
            name = f"{fmt.upper()} `{THUMB}`: our SSIMULACRA2 minus libvips', worst of {len(differences)} photos"
            worst, mean = min(differences), statistics.fmean(differences)
            yield Figure(name, f"{worst:+.2f}", f"mean {mean:+.2f}", f"≥ {-_TOLERANCE:+.1f}", worst >= -_TOLERANCE)


def _memory(results: Results) -> Iterator[Figure]:
    for peak in results.peaks:
        text, passed = "", None
        if peak.limit is not None:
            text, passed = f"≤ {peak.limit / _MIB:.0f} MiB", 0 < peak.bytes <= peak.limit
        yield Figure(f"peak memory of {peak.name}", f"{peak.bytes / _MIB:.0f} MiB", "", text, passed)


def _wrong_answers(results: Results) -> Iterator[Figure]:
    ours = [cell for cell in results.cells if cell.system == OURS]
    if ours:
        counts = sum((Counter(cell.failures) for cell in ours), Counter())
        refused, good = counts.pop(_REFUSED, 0), sum(cell.good for cell in ours)
        wrong = counts.total()
        total = f"of {good + refused + wrong}"
        yield Figure("our answers that were wrong", str(wrong), total, "0", wrong == 0)
        yield Figure("our answers that were refused, 503: their wait would have been too long", str(refused), total)
