"""The report of a run: one page that is understood in a minute, and its figures as CSV."""

import csv
import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests import knee, plots
from loadtests.containers import LOCUST, MACHINE, Usage
from loadtests.cores import Cores
from loadtests.findings import WARM, Findings
from loadtests.hits import Hits
from loadtests.ledger import LATE, NO_VISITORS, PROBE_MISSES, PROBED, Ledger
from loadtests.tallies import Summary
from loadtests.thresholds import Verdict, broken

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}img{max-width:100%}.broken{color:#b3261e;font-weight:600}
.first{font-size:1.25rem}code{background:#f3f3f3}"""
_BUSY = 0.85
"""Cores of a locust process from which the client, not the service, is the limit."""
_LATE_MS = 50.0
_LATE_SHARE = 0.5
"""p99 of locust's lateness, and its share of viewers' p95: over both, most of what visitors waited is its own."""
_DISTURBED = 0.3
"""Cores that something else uses, from which a run says so. The kernel's own work for the containers is about 0.1."""
_COLUMNS = ("requests", "goodput", "p50_ms", "p95_ms", "p99_ms", "hit_ratio", "refused_share", "error_share")
_HEADS = ("requests", "right/s", "p50, ms", "p95, ms", "p99, ms", "hits", "refused", "errors")


@dataclass(frozen=True, slots=True)
class Run:
    """All of a run that is reported."""

    asked: str
    """The command."""
    when: str
    target: str
    ours: bool
    """The target is a stack that was started for this run: its containers can be watched."""
    cores: Cores | None
    """None: they are shared, or unknown."""
    processes: int
    ledger: Ledger
    usage: Usage
    findings: Findings
    verdicts: Sequence[Verdict]
    hits: Hits | str


def write(run: Run, folder: Path) -> Path:
    """Write report.html, its plots and CSV files into `folder`."""
    pictures = plots.draw(run.ledger, run.usage, run.findings, folder)
    _csv(run, folder)
    page = folder / "report.html"
    body = "\n".join(_body(run, pictures))
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Load test: {run.findings.settings.shape}'
        f"</title><style>{_STYLE}</style><body>\n{body}\n</body></html>\n"
    )
    return page


def headline(run: Run) -> str:
    """What the run found, in a sentence."""
    early = run.findings.ended_early
    return f"Interrupted {early} s before its end. {_found(run)}" if early else _found(run)


def _found(run: Run) -> str:
    findings = run.findings
    every = run.ledger.summary("all", *findings.judged)
    if findings.readings:
        return _ramp_line(run)
    if findings.spike:
        return _spike_line(run)
    text = f"{every.goodput:.1f} right answers a second in {every.seconds:.0f} s, errors {every.error_share:.2%}, "
    text += f"refused {every.refused_share:.2%}."
    if findings.settings.shape == "cold":
        after = findings.warm_after
        text += f" {WARM:.0%} hits after {after} s." if after is not None else f" Less than {WARM:.0%} hits to the end."
    return text


def _ramp_line(run: Run) -> str:
    findings, why = run.findings, run.ledger.stopped_because
    readings, settings = findings.readings, findings.settings
    last = readings[-1]
    if best := findings.knee:
        return (
            f"The knee is at {best.users} users: {best.all.goodput:.0f} right answers a second, p95 of viewers "
            f"{_number(best.viewers.p95_ms)} ms. It ended there because {why}.{_late(run)}"
        )
    if knee.is_over(readings, settings.p95_limit_ms):
        if last.users == readings[0].users:
            return f"No knee: already the first step was too much; {why}."
        return f"No knee: {readings[0].users} users may already be past it, since {why}; start with fewer (--users)."
    got = f"{last.all.goodput:.0f} right answers a second, p95 of viewers {_number(last.viewers.p95_ms)} ms"
    if knee.next_users(last.users) > settings.most_users and not knee.bend(readings, settings.p95_limit_ms):
        return f"No knee, and no limit up to {last.users} users: {got}; go on with --most-users."
    return f"No knee: the ramp was interrupted after {last.users} users: {got}."


def _spike_line(run: Run) -> str:
    spike = run.findings.spike
    assert spike
    if spike.before.p99_ms is None:
        return "No cached answer was measured before the spike: there is nothing to hold it against."
    p99 = [_number(summary.p99_ms) for summary in (spike.before, spike.during, spike.after)]
    normal = "not normal again" if spike.seconds_to_normal is None else f"normal after {spike.seconds_to_normal} s"
    return f"p99 of cached answers before, during and after the spike: {', '.join(p99)} ms; {normal}."


def _body(run: Run, pictures: Sequence[str]) -> Iterator[str]:
    settings, failed = run.findings.settings, broken(run.verdicts)
    yield f"<h1>Load test: {settings.shape or 'by hand'}</h1>"
    yield f'<p class="first">{html.escape(headline(run))}</p>'
    yield f"<p>{_verdict(run, len(failed))}</p>"
    if plots.KNEE in pictures:
        yield f'<img src="{plots.KNEE}" alt="Goodput and p95 by users">'
    yield f"<p><code>{html.escape(run.asked)}</code></p>" if run.asked else ""
    yield f"<p>{run.when}; target {html.escape(run.target)}"
    yield "(a stack started for this run, on the machine that also makes the load).</p>" if run.ours else ".</p>"
    yield "<h2>Thresholds</h2>"
    yield from _table(("threshold", "verdict"), ((str(v), _word(v)) for v in run.verdicts))
    yield f'<h2>Traffic</h2><img src="{plots.TRAFFIC}" alt="Traffic over time">'
    yield "<p>Grey is the span that is judged, and that this table sums up. Latencies are of right answers.</p>"
    yield from _table(("", *_HEADS), _rows(run))
    if run.findings.readings:
        yield "<h2>Steps</h2>"
        yield from _table(("users", *_HEADS), ((str(r.users), *_cells(r.all)) for r in run.findings.readings))
    yield "<h2>Parts</h2>"
    yield from _parts(run, pictures)
    yield "<h2>Which number comes from where</h2>"
    yield from _sources(run)
    if run.ledger.failures:
        yield "<h2>What was wrong</h2>"
        yield from _table(("answer", "times"), ((text, str(n)) for text, n in run.ledger.failures.most_common(30)))


def _verdict(run: Run, failed: int) -> str:
    if failed:
        return f'<span class="broken">{failed} of {len(run.verdicts)} thresholds are broken.</span>'
    return f"All {sum(v.passed is not None for v in run.verdicts)} thresholds that could be judged are kept."


def _word(verdict: Verdict) -> str:
    return {True: "kept", False: "BROKEN", None: "not judged"}[verdict.passed]


def _rows(run: Run) -> Iterator[tuple[str, ...]]:
    groups = (PROBED, "all", "viewers", "viewers.cached", "viewers.missed")
    for name in (*groups, *(name for name in run.ledger.names() if name not in NO_VISITORS)):
        summary = run.ledger.summary(name, *run.findings.judged)
        if summary.requests:
            yield name, *_cells(summary)


def _cells(summary: Summary) -> tuple[str, ...]:
    shares = (summary.hit_ratio, summary.refused_share, summary.error_share)
    times = (summary.p50_ms, summary.p95_ms, summary.p99_ms)
    return (str(summary.requests), f"{summary.goodput:.1f}", *map(_number, times), *map(_share, shares))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004  # three digits


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"


def _parts(run: Run, pictures: Sequence[str]) -> Iterator[str]:
    if not run.ours:
        yield "<p>CPU and memory of the target are left out: it is not a stack that this run started.</p>"
    if plots.PARTS in pictures:
        yield f'<img src="{plots.PARTS}" alt="CPU and memory over time">'
    rows = []
    for part in run.usage.parts():
        samples = run.usage.of(part, *run.findings.judged)
        if samples:
            cores = sum(s.cpu for s in samples) / len(samples)
            mib = [s.bytes / 2**20 for s in samples]
            rows.append((part, f"{cores:.2f}", f"{mib[0]:.0f}", f"{mib[-1]:.0f}", f"{max(mib):.0f}"))
    yield from _table(("part", "CPU, cores", "MiB at first", "MiB at last", "MiB at most"), rows)


def _sources(run: Run) -> Iterator[str]:
    used = run.usage.cores(LOCUST, *run.findings.judged)
    yield f"<p><b>{PROBED}</b>: one cached thumbnail, fifty times a second, asked for by a process that does"
    misses = run.ledger.summary(PROBE_MISSES, *run.findings.judged).requests
    yield f"nothing else (loadtests/probe.py); {misses} of its answers were misses, and are left out."
    yield "All other figures above are locust's, its own slowness included."
    if run.ours:
        together = "service and load generator had none for themselves: on one machine, each slowed the other"
        yield f"Of this machine's cores {run.cores or together}."
    late = run.ledger.summary(LATE, *run.findings.judged)
    yield f"Its loop was late by {_number(late.p50_ms)} ms (p50), {_number(late.p99_ms)} ms (p99)."
    if used is not None:
        yield f"Locust itself used {used:.2f} cores in {run.processes} processes: {_client(run, used)}."
    others = _others(run)
    if others is not None and others > _DISTURBED:
        yield f"<b>Something else on this machine used {others:.1f} cores: alone, the figures would be better.</b>"
    yield "</p>"
    if isinstance(run.hits, Hits):
        yield (
            "<p>Hits alone, by wrk after the run, one thread, 16 connections, "
            f"<code>{html.escape(run.hits.path)}</code>: "
            f"<b>{run.hits.rate:,.0f} a second</b>, p50 {run.hits.p50}, p99 {run.hits.p99}. "
            "That is what Varnish gives; locust cannot ask so fast.</p>"
        )
    else:
        yield f"<p>Hits alone were not measured by wrk: {html.escape(run.hits)}.</p>"


def _client(run: Run, used: float) -> str:
    """Whether locust was the limit: by its cores, or by its lateness, as it yields to the service on one machine."""
    if used / run.processes > _BUSY:
        return "the client is the limit, not the service"
    return "it had too few of them, and was late" if _late(run) else "it was not the limit"


def _late(run: Run) -> str:
    """A sentence, where locust's lateness explains what visitors waited; else nothing."""
    late = run.ledger.summary(LATE, *run.findings.judged).p99_ms or 0.0
    p95 = run.ledger.summary("viewers", *run.findings.judged).p95_ms or 0.0
    if late <= max(_LATE_MS, p95 * _LATE_SHARE):
        return ""
    return (
        f" Locust itself was late by {_number(late)} ms (p99): the latencies of visitors are its own for the most part."
    )


def _others(run: Run) -> float | None:
    """Cores used by nothing that belongs to this run; None where that cannot be told."""
    span, parts = run.findings.judged, [part for part in run.usage.parts() if part != MACHINE]
    machine = run.usage.cores(MACHINE, *span)
    if not run.ours or machine is None:
        return None
    return machine - sum(run.usage.cores(part, *span) or 0.0 for part in parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "<table><tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>"
    for row in rows:
        mark = ' class="broken"' if "BROKEN" in row else ""
        yield f"<tr{mark}>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
    yield "</table>"


def _csv(run: Run, folder: Path) -> None:
    run.usage.write(folder / "parts.csv")
    start, end = run.ledger.span
    with (folder / "seconds.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["second", "users", "group", *_COLUMNS])
        for second in range(start, end):
            for name in ("all", "viewers.cached", "viewers.missed", *run.ledger.names()):
                summary = run.ledger.summary(name, second, second + 1)
                if summary.requests:
                    values = [getattr(summary, column) for column in _COLUMNS]
                    rows.writerow([second - start, run.ledger.users.get(second, ""), name, *values])
