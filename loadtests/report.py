"""The report of a run: one page that takes a minute to read, and its figures as CSV."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from loadtests import knee, plots
from loadtests.containers import LOCUST, MACHINE, Usage
from loadtests.cores import Cores
from loadtests.findings import WARM, Findings
from loadtests.ledger import LATE, NO_VISITORS, PROBE_MISSES, PROBED, Ledger, Summary
from loadtests.thresholds import Verdict, broken
from measuring.wrk import Rate

_BUSY = 0.85
"""Cores per locust process above which the client, not the service, is the limit."""
_LATE_MS, _LATE_SHARE = 50.0, 0.5
"""The p99 of locust's delay, and its share of viewers' p95. Above both, most of the latency is locust's own."""
_DISTURBED = 0.3
"""Cores that other programs may use. The kernel's own work for the containers takes about 0.1."""
_GROUPS = (PROBED, "all", "viewers", "viewers.cached", "viewers.missed")
_COLUMNS = ("requests", "goodput", "p50_ms", "p95_ms", "p99_ms", "hit_ratio", "refused_share", "error_share")
_HEADS = ("requests", "right/s", "p50, ms", "p95, ms", "p99, ms", "hits", "refused", "errors")
_WORDS = {True: "kept", False: "BROKEN", None: "not judged"}


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that a report shows."""

    asked: str
    """The command."""
    when: str
    target: str
    ours: bool
    """The run started the target, so its containers are watched."""
    cores: Cores | None
    """None if they are shared, or unknown."""
    processes: int
    ledger: Ledger
    usage: Usage
    findings: Findings
    verdicts: Sequence[Verdict]
    hits: Rate | str
    """By wrk, or why not."""

    def summary(self, group: str) -> Summary:
        """Of the judged span."""
        return self.ledger.summary(group, *self.findings.judged)


def write(run: Run, folder: Path) -> Path:
    """Write report.html, its plots and CSV files into `folder`."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    groups = (*_GROUPS, *(name for name in run.ledger.names() if name not in NO_VISITORS))
    summaries = ((name, run.summary(name)) for name in groups)
    page = folder / "report.html"
    page.write_text(
        templates.get_template("report.html.jinja").render(
            run=run,
            settings=run.findings.settings,
            headline=headline(run),
            pictures=plots.draw(run.ledger, run.usage, run.findings, folder),
            broken=len(broken(run.verdicts)),
            judged=sum(verdict.passed is not None for verdict in run.verdicts),
            verdicts=[(verdict, _WORDS[verdict.passed]) for verdict in run.verdicts],
            heads=list(_HEADS),
            groups=[(name, *_cells(summary)) for name, summary in summaries if summary.requests],
            steps=[(reading.users, *_cells(reading.all)) for reading in run.findings.readings],
            parts=list(_parts(run)),
            sources=" ".join(_sources(run)),
            hits=run.hits,
            failures=run.ledger.failures.most_common(30),
        )
    )
    run.usage.write(folder / "parts.csv")
    _write_seconds(run.ledger, folder / "seconds.csv")
    return page


def headline(run: Run) -> str:
    """What the run found, in a sentence."""
    findings, every = run.findings, run.summary("all")
    early = f"Interrupted {findings.ended_early} s before its end. " if findings.ended_early else ""
    if findings.readings:
        return early + _ramp_line(run)
    if findings.spike:
        return early + _spike_line(run)
    text = f"{early}{every.goodput:.1f} right answers per second for {every.seconds:.0f} s, "
    text += f"errors {every.error_share:.2%}, refused {every.refused_share:.2%}."
    if findings.settings.shape == "cold":
        after = findings.warm_after
        text += f" Fewer than {WARM:.0%} hits until the end." if after is None else f" {WARM:.0%} hits after {after} s."
    return text


def _ramp_line(run: Run) -> str:
    readings, settings, why = run.findings.readings, run.findings.settings, run.ledger.stopped_because
    last, limit = readings[-1], run.findings.settings.p95_limit_ms
    if best := run.findings.knee:
        return f"The knee is at {best.users} users: {_got(best)}. The ramp ended because {why}.{_late(run)}"
    if knee.is_over(readings, limit):
        if last.users == readings[0].users:
            return f"No knee: even the first step was too much; {why}."
        return f"No knee: {readings[0].users} users may already be too many, since {why}. Start with fewer (--users)."
    if knee.next_users(last.users) > settings.most_users and not knee.bend(readings, limit):
        return f"No knee, and no limit up to {last.users} users: {_got(last)}. Continue with a higher --most-users."
    return f"No knee: the ramp was interrupted after {last.users} users: {_got(last)}."


def _got(reading: knee.Reading) -> str:
    return f"{reading.all.goodput:.0f} right answers per second, p95 of viewers {_number(reading.viewers.p95_ms)} ms"


def _spike_line(run: Run) -> str:
    spike = run.findings.spike
    assert spike
    if spike.before.p99_ms is None:
        return "There were no cached answers before the spike to compare it with."
    p99 = [_number(summary.p99_ms) for summary in (spike.before, spike.during, spike.after)]
    normal = "not normal again" if spike.seconds_to_normal is None else f"normal after {spike.seconds_to_normal} s"
    return f"p99 of cached answers before, during and after the spike: {', '.join(p99)} ms; {normal}."


def _cells(summary: Summary) -> tuple[str, ...]:
    shares = (summary.hit_ratio, summary.refused_share, summary.error_share)
    times = (summary.p50_ms, summary.p95_ms, summary.p99_ms)
    texts = ("" if share is None else f"{share:.2%}" for share in shares)
    return (str(summary.requests), f"{summary.goodput:.1f}", *map(_number, times), *texts)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004  # three digits


def _parts(run: Run) -> Iterator[tuple[str, ...]]:
    for part in run.usage.parts():
        mib = [sample.bytes / 2**20 for sample in run.usage.of(part, *run.findings.judged)]
        if mib:
            cores = run.usage.cores(part, *run.findings.judged)
            yield part, f"{cores:.2f}", *(f"{value:.0f}" for value in (mib[0], mib[-1], max(mib)))


def _sources(run: Run) -> Iterator[str]:
    misses, late = run.summary(PROBE_MISSES).requests, run.summary(LATE)
    yield f"“{PROBED}” is one cached thumbnail, requested fifty times per second by a process that does nothing else"
    yield f"(loadtests/probe.py); {misses} of its answers were misses and are left out."
    yield "All other figures above are locust's and include its own delay."
    if run.ours:
        shared = "service and load generator shared all of them, and each slowed the other down"
        yield f"Of this machine's cores, {run.cores or shared}."
    yield f"Locust's loop was late by {_number(late.p50_ms)} ms (p50) and {_number(late.p99_ms)} ms (p99)."
    used = run.usage.cores(LOCUST, *run.findings.judged)
    if used is not None:
        client = "it was not the limit"
        if used / run.processes > _BUSY:
            client = "the client is the limit, not the service"
        elif _late(run):
            client = "it had too few of them, and was late"
        yield f"Locust itself used {used:.2f} cores in {run.processes} processes: {client}."
    others = _others(run)
    if others is not None and others > _DISTURBED:
        yield f"Other programs on this machine used {others:.1f} cores; without them, the figures would be better."


def _late(run: Run) -> str:
    """A sentence if locust's delay explains the latencies of visitors."""
    late, p95 = run.summary(LATE).p99_ms or 0.0, run.summary("viewers").p95_ms or 0.0
    if late <= max(_LATE_MS, p95 * _LATE_SHARE):
        return ""
    return f" Locust itself was late by {_number(late)} ms (p99): most of the visitors' latency is its own."


def _others(run: Run) -> float | None:
    """Cores that other programs used, if that is known."""
    span = run.findings.judged
    machine = run.usage.cores(MACHINE, *span)
    if not run.ours or machine is None:
        return None
    return machine - sum(run.usage.cores(part, *span) or 0.0 for part in run.usage.parts() if part != MACHINE)


def _write_seconds(ledger: Ledger, path: Path) -> None:
    start, end = ledger.span
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["second", "users", "group", *_COLUMNS])
        for second in range(start, end):
            for name in ("all", "viewers.cached", "viewers.missed", *ledger.names()):
                summary = ledger.summary(name, second, second + 1)
                if summary.requests:
                    values = [getattr(summary, column) for column in _COLUMNS]
                    rows.writerow([second - start, ledger.users.get(second, ""), name, *values])
