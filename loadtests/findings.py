"""What a run found: the knee, the spike, the warm-up of a cold cache, and the span of time that is judged."""

from dataclasses import dataclass, replace

from loadtests import containers, knee, plans
from loadtests.containers import Usage
from loadtests.knee import Reading
from loadtests.ledger import PROBED, Ledger, Summary
from loadtests.settings import Settings
from loadtests.thresholds import AT_LEAST, AT_MOST, MEMORY, Measured, Threshold

WARM = 0.90
"""The share of hits that ends a cold start."""
_WINDOW = 5
"""Seconds of a percentile or a share that is followed over time."""
_LEAST_SAMPLES = 20
_LAG_SECONDS = 3
"""A run's last users are counted so long before its end: once per second, and the shape is asked as often."""
_REFUSED = 0.01
"""Refusals in a normal second: two expensive renders at the same time are not a spike."""
_MEMORY_SECONDS = 300
"""The least length of a run whose memory is judged: a shorter one sees parts that are still starting."""
_LEAST_LATENCY_MS = 5.0
"""A shorter latency may double: that is noise of the machine."""

Span = tuple[int, int]
"""Start and end, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Spike:
    """Cached answers around a spike: the probe's, or viewers' if there is no Varnish."""

    before: Summary
    during: Summary
    after: Summary
    seconds_to_normal: int | None
    """From its end until after the last abnormal second; None if the run ends abnormally, or too early.

    A second is abnormal if it has an error or more than 1 % refusals, or if the p99 of cached answers in the five
    seconds from it on is over twice that of before. One second has too few answers for a p99.
    """

    @property
    def p99_growth(self) -> float | None:
        """p99 during the spike by that before."""
        before, during = self.before.p99_ms, self.during.p99_ms
        return None if before is None or during is None else during / max(before, _LEAST_LATENCY_MS)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run found, in addition to its figures."""

    settings: Settings
    judged: Span
    """If a run ended before it, the end is not after the start."""
    readings: tuple[Reading, ...] = ()
    knee: Reading | None = None
    spike: Spike | None = None
    warm_after: int | None = None
    """Seconds until a cold cache gave most of the answers."""
    ended_early: int = 0
    """Missing seconds of an interrupted run."""


def find(ledger: Ledger, settings: Settings) -> Findings:
    """What a run found."""
    if settings.shape == "ramp":
        return _ramp(ledger, settings)
    start, end = ledger.span
    if not settings.shape:
        return Findings(settings, (start, end))
    stages = plans.plan(settings.shape, settings.users, settings.seconds, settings.warm_up)
    windows = plans.windows(stages, start)
    planned = windows[stages[-1].name][1]
    judged = (windows["warm-up"][1] if "warm-up" in windows else start, min(end, planned))
    return Findings(
        settings,
        judged,
        spike=_spike(ledger, windows) if settings.shape == "spike" else None,
        warm_after=_warm_after(ledger, judged) if settings.shape == "cold" else None,
        ended_early=planned - end if planned - end > _LAG_SECONDS else 0,
    )


def measured(limits: list[Threshold], ledger: Ledger, findings: Findings, usage: Usage) -> Measured:
    """The value for each limit that the run has one for."""
    values: dict[tuple[str, str], float | None] = {}
    for limit in limits:
        if limit.name in AT_MOST | AT_LEAST:
            summary = ledger.summary(limit.group, *findings.judged)
            if summary.requests:
                values[limit.group, limit.name] = getattr(summary, limit.name)
    if findings.spike and findings.spike.before.p99_ms is not None:
        normal = findings.spike.seconds_to_normal
        values["spike", "p99_growth"] = findings.spike.p99_growth
        values["spike", "seconds_to_normal"] = float("inf") if normal is None else float(normal)
    if _long(findings):
        for part in containers.judged_by_growth(usage.parts()):
            values[_memory_of(part), "growth"] = containers.growth(usage.of(part, *findings.judged))
    return values


def by_part(limits: list[Threshold], usage: Usage) -> list[Threshold]:
    """The same limits, with that of memory once for each container that it applies to."""
    found = []
    for limit in limits:
        parts = containers.judged_by_growth(usage.parts()) if limit.group == MEMORY else []
        found += [replace(limit, group=_memory_of(part)) for part in parts] or [limit]
    return found


def required(limits: list[Threshold], findings: Findings) -> set[Threshold]:
    """Limits that a run on the own stack must have a value for.

    These exclude misses, which a short run may not have, and memory in a short run.
    """
    short = not _long(findings)
    return {each for each in limits if not (each.group.endswith(".missed") or (short and each.name == "growth"))}


def _long(findings: Findings) -> bool:
    return findings.judged[1] - findings.judged[0] >= _MEMORY_SECONDS


def _memory_of(part: str) -> str:
    return f"{MEMORY} of {part}"


def _ramp(ledger: Ledger, settings: Settings) -> Findings:
    readings = tuple(knee.reading(ledger, step) for step in ledger.steps)
    best = knee.last_good(readings, settings.p95_limit_ms)
    judged = ledger.span if readings else (0, 0)
    if best:
        step = ledger.steps[readings.index(best)]
        judged = (step.start, step.end)
    return Findings(settings, judged, readings, knee.knee(readings, settings.p95_limit_ms))


def _spike(ledger: Ledger, windows: dict[str, Span]) -> Spike:
    cached = PROBED if ledger.summary(PROBED, *ledger.span).requests else "viewers.cached"
    before, during, after = (ledger.summary(cached, *windows[name]) for name in ("before", "during", "after"))
    limit = 2 * max(before.p99_ms or 0.0, _LEAST_LATENCY_MS)
    start, end = windows["after"][0], min(windows["after"][1], ledger.span[1])

    def abnormal(second: int) -> bool:
        every, window = ledger.summary("all", second, second + 1), min(second, end - _WINDOW)
        p99 = ledger.summary(cached, window, window + _WINDOW).p99_ms
        return every.error_share > 0 or every.refused_share > _REFUSED or p99 is None or p99 > limit

    if end - start < _WINDOW or abnormal(end - 1):
        return Spike(before, during, after, None)
    last = next((second for second in reversed(range(start, end)) if abnormal(second)), start - 1)
    return Spike(before, during, after, last + 1 - start)


def _warm_after(ledger: Ledger, span: Span) -> int | None:
    for second in range(span[0], span[1] - _WINDOW):
        summary = ledger.summary("viewers", second, second + _WINDOW)
        if summary.requests >= _LEAST_SAMPLES and (summary.hit_ratio or 0) >= WARM:
            return second - span[0]
    return None
