"""What a run says: the knee, the spike, the warm-up of a cold cache, and the span of time that is judged."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from loadtests import containers, knee, plans
from loadtests.containers import Usage
from loadtests.knee import Reading
from loadtests.ledger import PROBED, Ledger
from loadtests.settings import Settings
from loadtests.tallies import Summary
from loadtests.thresholds import AT_LEAST, AT_MOST, MEMORY, Measured, Threshold

WARM = 0.90
"""Share of hits from which a cold start is over."""
_WINDOW = 5
"""Seconds over which a percentile or a share is taken where it is followed over time."""
_LEAST_SAMPLES = 20
_LAG_SECONDS = 3
"""A run's last users are seen so much before its end: its shape is asked, and they are counted, once a second."""
_REFUSED = 0.01
"""Of a second that is normal: two dear renders at the same moment are no spike."""
_MEMORY_SECONDS = 300
"""Of a run that is judged by memory: a shorter one sees parts that still start."""
_LEAST_LATENCY_MS = 5.0
"""Twice of next to nothing is still nothing: noise of the machine."""


@dataclass(frozen=True, slots=True)
class Spike:
    """Cached answers around a spike: those of the probe; of viewers, where there is none."""

    before: Summary
    during: Summary
    after: Summary
    seconds_to_normal: int | None
    """After its end, until the second after the last abnormal one; None: the run ends abnormally, or too early.

    Abnormal is a second with an error, with more than 1 % refused, or from which on the p99 of cached answers is over
    twice that of before for five seconds: of one second, too few answers are counted for a p99.
    """

    @property
    def p99_growth(self) -> float | None:
        """p99 during the spike by that before."""
        before, during = self.before.p99_ms, self.during.p99_ms
        return None if before is None or during is None else during / max(before, _LEAST_LATENCY_MS)


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is told of a run beside its figures."""

    settings: Settings
    judged: tuple[int, int]
    """From when until when, in seconds since the epoch; of a run that ended before, not after its start."""
    readings: tuple[Reading, ...] = ()
    knee: Reading | None = None
    spike: Spike | None = None
    warm_after: int | None = None
    """Seconds until a cold cache answered most."""
    ended_early: int = 0
    """By how many seconds the run is shorter than it was to be."""


def find(ledger: Ledger, settings: Settings) -> Findings:
    """What this run says."""
    if settings.shape == "ramp":
        return _ramp(ledger, settings)
    start, end = ledger.span
    if not settings.shape:
        return Findings(settings, (start, end))
    stages = plans.plan(settings.shape, settings.users, settings.seconds, settings.warm_up)
    windows = plans.windows(stages, start)
    planned = windows[stages[-1].name][1]
    judged = (windows["warm-up"][1] if "warm-up" in windows else start, min(end, planned))
    missing = planned - end if planned - end > _LAG_SECONDS else 0
    if settings.shape == "spike":
        return Findings(settings, judged, spike=_spike(ledger, windows), ended_early=missing)
    warm = _first(ledger, judged, lambda s: s.hit_ratio is not None and s.hit_ratio >= WARM)
    return Findings(settings, judged, warm_after=warm if settings.shape == "cold" else None, ended_early=missing)


def measured(limits: list[Threshold], ledger: Ledger, findings: Findings, usage: Usage) -> Measured:
    """A value for each limit for which the run has one."""
    values: dict[tuple[str, str], float | None] = {}
    start, end = findings.judged
    for limit in limits:
        if limit.name in AT_MOST | AT_LEAST:
            summary = ledger.summary(limit.group, start, end)
            if summary.requests:
                values[limit.group, limit.name] = getattr(summary, limit.name)
    if findings.spike and findings.spike.before.p99_ms is not None:
        normal = findings.spike.seconds_to_normal
        values["spike", "p99_growth"] = findings.spike.p99_growth
        values["spike", "seconds_to_normal"] = float("inf") if normal is None else float(normal)
    if _long(findings):
        for part in containers.judged_by_growth(usage.parts()):
            values[_memory_of(part), "growth"] = containers.growth(usage.of(part, start, end))
    return values


def by_part(limits: list[Threshold], usage: Usage) -> list[Threshold]:
    """The same limits, that of memory once for each container that it is for."""
    found = []
    for limit in limits:
        parts = containers.judged_by_growth(usage.parts()) if limit.group == MEMORY else []
        found += [replace(limit, group=_memory_of(part)) for part in parts] or [limit]
    return found


def required(limits: list[Threshold], findings: Findings) -> set[Threshold]:
    """Limits for which a run on the own stack has a value if all is well there.

    Not of answers that Varnish had not, of which a short run may see none; of memory in a run that is long enough.
    """
    short = not _long(findings)
    unsure = {limit for limit in limits if limit.group.endswith(".missed") or (short and limit.name == "growth")}
    return set(limits) - unsure


def _long(findings: Findings) -> bool:
    return findings.judged[1] - findings.judged[0] >= _MEMORY_SECONDS


def _memory_of(part: str) -> str:
    return f"{MEMORY} of {part}"


def _ramp(ledger: Ledger, settings: Settings) -> Findings:
    readings = tuple(knee.reading(ledger, step) for step in ledger.steps)
    best = knee.last_good(readings, settings.p95_limit_ms)
    step = ledger.steps[readings.index(best)] if best else None
    whole = ledger.span if readings else (0, 0)
    judged = (step.start, step.end) if step else whole
    return Findings(settings, judged, readings, knee.knee(readings, settings.p95_limit_ms))


def _spike(ledger: Ledger, windows: dict[str, tuple[int, int]]) -> Spike:
    cached = PROBED if ledger.summary(PROBED, *ledger.span).requests else "viewers.cached"
    before, during, after = (ledger.summary(cached, *windows[name]) for name in ("before", "during", "after"))
    limit = 2 * max(before.p99_ms or 0.0, _LEAST_LATENCY_MS)
    start, end = windows["after"][0], min(windows["after"][1], ledger.span[1])

    def abnormal(second: int) -> bool:
        every = ledger.summary("all", second, second + 1)
        window = min(second, end - _WINDOW)
        p99 = ledger.summary(cached, window, window + _WINDOW).p99_ms
        return every.error_share > 0 or every.refused_share > _REFUSED or p99 is None or p99 > limit

    if end - start < _WINDOW or abnormal(end - 1):
        return Spike(before, during, after, None)
    last = next((second for second in reversed(range(start, end)) if abnormal(second)), start - 1)
    return Spike(before, during, after, last + 1 - start)


def _first(ledger: Ledger, span: tuple[int, int], holds: Callable[[Summary], bool]) -> int | None:
    start, end = span
    for second in range(start, end - _WINDOW):
        summary = ledger.summary("viewers", second, second + _WINDOW)
        if summary.requests >= _LEAST_SAMPLES and holds(summary):
            return second - start
    return None
