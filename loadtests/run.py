"""One run from a target to a report: seed, warm up, load, measure, judge."""

import json
import shlex
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from loadtests import corpus, findings, hits, ledger, locust_process, probe, report, stack, target, thresholds, variants
from loadtests.containers import Usage
from loadtests.faults import Fault, NoFault
from loadtests.locust_process import NothingMeasured
from loadtests.options import Options
from loadtests.photos import Album
from loadtests.settings import Settings
from loadtests.stack import Stack
from measuring.client import ask
from measuring.servers import free_port
from measuring.wrk import Rate

_KNEE_SHARE = 0.7
"""The share of the knee that a site should plan for."""
_RAMP_USERS, _USERS = 16, 20
_WAIT_SECONDS = 5


class NoFolder(Exception):
    """A folder is not writable."""


def run(options: Options) -> list[thresholds.Verdict]:
    """Do everything, and print where the report is; returns a verdict on every threshold."""
    limits = thresholds.load(options.thresholds, options.shape or "")
    album = Album(options.files, options.wallpapers)
    _check_writable("--reports", options.reports)
    _check_writable("--files", options.files)
    with _target(options) as (url, own):
        folder = options.reports / time.strftime(f"%Y%m%d-%H%M%S-{options.shape or 'web'}")
        folder.mkdir(parents=True)
        entries, corpus_file = _seeded(options, url, own, album)
        if options.warm and options.shape != "cold":
            _warm(url, entries)
        kind = _kind(options, own)
        settings = _settings(options, kind, limits, corpus_file, folder)
        usage, probed = Usage(), ledger.Ledger()
        fault = Fault(options.fault, options.fault_after, options.fault_seconds) if options.fault else None
        broken = fault.happening(own) if fault and own else nullcontext()
        with broken, probe.running(url, entries[0], folder / "probe.json", probed):
            counted = locust_process.run(settings, url, _locust(options), own, usage)
        counted.add(probed.packed())
        found = findings.find(counted, settings)
        if found.judged[0] >= found.judged[1]:
            raise NothingMeasured("nothing was measured: the run ended in its warm-up, or in the first step of a ramp")
        rate = hits.measure(url, entries[0]) if options.hits else "--no-hits"
    limits = findings.by_part(limits, usage)
    required = findings.required(limits, found) if own else ()
    verdicts = thresholds.judge(limits, findings.measured(limits, counted, found, usage), required)
    result = report.Run(
        asked=shlex.join(["python", "-m", "loadtests", *sys.argv[1:]]),
        when=time.strftime("%Y-%m-%d %H:%M"),
        target=url,
        ours=own is not None,
        cores=own.cores if own else None,
        processes=options.processes + options.workers,
        ledger=counted,
        usage=usage,
        findings=found,
        verdicts=verdicts,
        hits=rate,
    )
    print(f"\n{report.headline(result)}")
    if isinstance(rate, Rate):
        print(f"Hits alone, by wrk: {rate.rate:,.0f} per second, p99 {rate.p99}.")
    print(f"report: {report.write(result, folder)}")
    _keep_knee(options, kind, found)
    if fault and fault.failed:
        raise NoFault(f"{fault.name} did not happen, so this run says nothing about it: {fault.failed}")
    if found.ended_early:
        raise NothingMeasured(f"interrupted {found.ended_early} s before its end, so no threshold is judged")
    if all(verdict.passed is None for verdict in verdicts):
        raise NothingMeasured(f"no threshold was judged: {options.thresholds} has none that this run could measure")
    return verdicts


def _check_writable(name: str, folder: Path) -> None:
    """Make a folder if necessary, and check that it is writable, before there is anything to lose."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise NoFolder(f"{name}: {folder} is not a writable folder: {error.strerror}; use another one") from error


@contextmanager
def _target(options: Options) -> Iterator[tuple[str, Stack | None]]:
    if options.target is None:
        print("starting the stack …", flush=True)
        with stack.started(options.apart) as own:
            yield own.url, own
    else:
        url = target.checked(options.target)
        target.wait(url, _WAIT_SECONDS)
        yield url, None


def _seeded(options: Options, url: str, own: Stack | None, album: Album) -> tuple[list[corpus.Entry], Path]:
    name = "own" if own else "".join(letter if letter.isalnum() else "-" for letter in url)
    path = options.files / f"corpus-{name}.json"
    cold = options.shape == "cold"
    behind = uuid.uuid4().bytes if cold else b""
    return corpus.seed(url, album, options.images, path, anew=own is not None or cold, behind=behind), path


def _warm(url: str, entries: list[corpus.Entry]) -> None:
    """Render the usual variants, of the most popular images first. What fails here fails again under load."""
    asked = [each for entry in entries for each in variants.usual(entry)]
    corpus.at_once("warming", lambda each: ask(url + each[0], headers={"Accept": each[1]}).status, asked)


def _settings(
    options: Options, kind: str, limits: list[thresholds.Threshold], corpus_file: Path, folder: Path
) -> Settings:
    p95 = [limit.limit for limit in limits if (limit.group, limit.name) == ("viewers", "p95_ms")]
    standard = Settings.model_fields["p95_limit_ms"].default
    return Settings(
        shape=options.shape or "",
        users=options.users or _users(options, kind),
        seconds=options.seconds,
        warm_up=options.warm_up,
        step_seconds=options.step_seconds,
        most_users=options.most_users,
        corpus=corpus_file,
        out=folder,
        p95_limit_ms=p95[0] if p95 else standard,
    )


def _users(options: Options, kind: str) -> int:
    """70 % of the last knee of this kind of target."""
    if options.shape == "ramp":
        return _RAMP_USERS
    if not options.shape:
        return _USERS  # locust's page sets them
    try:
        kept = json.loads((options.reports / "knee.json").read_text())
        knee = float(kept["users"]) if kept["target"] == kind else None
    except (OSError, ValueError, KeyError, TypeError):
        knee = None
    if knee is None:
        print(f"the knee of {kind} is not known yet (SHAPE=ramp finds it): {_USERS} users")
        return _USERS
    # A spike is ten times its base. From a third of the knee, it goes well beyond the knee.
    users = max(1, round(knee * (_KNEE_SHARE / 2 if options.shape == "spike" else _KNEE_SHARE)))
    print(f"{users} users, because the last knee of {kind} was at {knee:.0f}")
    return users


def _kind(options: Options, own: Stack | None) -> str:
    """Whose knee it is: that of one machine says nothing about another, nor that of some cores about all."""
    if options.target:
        return target.checked(options.target)
    return f"the own stack on {own.cores.for_service}" if own and own.cores else "the own stack on shared cores"


def _locust(options: Options) -> list[str]:
    chosen = ["--headless"]
    if options.web is not None:
        chosen = ["--web-port", str(options.web), "--web-host", "127.0.0.1"]
        print(f"locust's page: http://127.0.0.1:{options.web} (Ctrl-C ends it and writes the report)", flush=True)
    if options.processes > 1:
        port = str(free_port())  # on locust's own port, the workers of two runs would join the first master
        chosen += ["--processes", str(options.processes), "--master-bind-port", port, "--master-port", port]
    if options.workers:
        chosen += ["--master", "--expect-workers", str(options.workers)]
    return chosen


def _keep_knee(options: Options, kind: str, found: findings.Findings) -> None:
    """Remember the knee, from which later runs choose their load."""
    if found.knee:
        knee = {"users": found.knee.users, "goodput": round(found.knee.all.goodput, 1), "target": kind}
        (options.reports / "knee.json").write_text(json.dumps(knee) + "\n")
