"""One run from a target to a report: seed, warm, load, measure, judge."""

import json
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from loadtests import (
    corpus,
    findings,
    hits,
    ledger,
    locust_process,
    photos,
    probe,
    report,
    stack,
    target,
    thresholds,
    warming,
)
from loadtests.containers import Usage
from loadtests.faults import Fault, NoFault
from loadtests.locust_process import NothingMeasured
from loadtests.settings import Settings
from loadtests.stack import Stack

HERE = Path(__file__).parent
KNEE_SHARE = 0.7
"""Of the knee: the load that a site should plan for."""
_RAMP_USERS = 16
_USERS = 20
_WAIT_SECONDS = 5


class NoFolder(Exception):
    """A folder that is needed cannot be written to."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is to be."""

    shape: str
    target: str | None = None
    users: int | None = None
    seconds: int | None = None
    warm_up: int | None = None
    step_seconds: int = 20
    most_users: int = 5000
    images: int = 40
    warm: bool = True
    processes: int = 1
    workers: int = 0
    """Of other machines, which are waited for."""
    web: int | None = None
    """The port of locust's web page; None: without it."""
    apart: bool = True
    """The own stack and the load generator have cores of their own."""
    hits: bool = True
    asked: str = ""
    """By which command, for the report."""
    fault: Fault | None = None
    thresholds: Path = HERE / "thresholds.toml"
    reports: Path = HERE / "reports"
    files: Path = HERE / ".photos"
    """Photos that were made, and the ids that targets gave them."""
    wallpapers: Path = photos.WALLPAPERS


def run(options: Options) -> list[thresholds.Verdict]:
    """Do all of it, and tell where the report is; every threshold with its verdict."""
    limits = thresholds.load(options.thresholds, options.shape)
    album = photos.Album(options.files, options.wallpapers)
    _writable("--reports", options.reports)
    _writable("--files", options.files)
    with _target(options) as (url, own):
        folder = options.reports / time.strftime(f"%Y%m%d-%H%M%S-{options.shape or 'web'}")
        folder.mkdir(parents=True)
        entries, corpus_file = _seeded(options, url, own, album)
        if options.warm and options.shape != "cold":
            warming.warm(url, entries)
        kind = _kind(options, own)
        settings = _settings(options, kind, limits, corpus_file, folder)
        usage, fault, probed = Usage(), options.fault if own else None, ledger.Ledger()
        broken = fault.happening(own) if fault and own else nullcontext()
        with broken, probe.running(url, entries[0], folder / "probe.json", probed):
            counted = locust_process.run(settings, url, _locust(options), own, usage)
        counted.add(probed.packed())
        found = findings.find(counted, settings)
        if found.judged[0] >= found.judged[1]:
            raise NothingMeasured(
                "nothing was measured: the run ended in its warm-up, or before a ramp's first step was over"
            )
        spent = hits.measure(url, entries[0]) if options.hits else "it was not asked for"
    limits = findings.by_part(limits, usage)
    required = findings.required(limits, found) if own else ()
    verdicts = thresholds.judge(limits, findings.measured(limits, counted, found, usage), required)
    when = time.strftime("%Y-%m-%d %H:%M")
    processes = max(1, options.processes + options.workers)
    apart = own.cores if own else None
    told = report.Run(
        options.asked, when, url, own is not None, apart, processes, counted, usage, found, verdicts, spent
    )
    print(f"\n{report.headline(told)}")
    if isinstance(spent, hits.Hits):
        print(f"Hits alone, by wrk: {spent.rate:,.0f} a second, p99 {spent.p99}.")
    print(f"report: {report.write(told, folder)}")
    _keep_knee(options, kind, found)
    if fault and fault.failed:
        raise NoFault(f"{fault.name} could not be made, so this run says nothing of it: {fault.failed}")
    if found.ended_early:
        raise NothingMeasured(f"interrupted {found.ended_early} s before its end: of the thresholds it says nothing")
    if all(verdict.passed is None for verdict in verdicts):
        raise NothingMeasured(f"no threshold was judged: {options.thresholds} has none that this run could measure")
    return verdicts


def _writable(name: str, folder: Path) -> None:
    """Make a folder, where there is none, and see that files can be made in it: before there is anything to lose."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise NoFolder(f"{name}: {folder} is no folder to write into: {error.strerror}; give another one") from error


@contextmanager
def _target(options: Options) -> Iterator[tuple[str, Stack | None]]:
    if options.target is None:
        print("starting the stack …", flush=True)
        with stack.started(options.apart) as own:
            yield own.url, own
        return
    url = target.checked(options.target)
    target.wait(url, _WAIT_SECONDS)
    yield url, None


def _seeded(options: Options, url: str, own: Stack | None, album: photos.Album) -> tuple[list[corpus.Entry], Path]:
    name = "own" if own else "".join(letter if letter.isalnum() else "-" for letter in url)
    path = options.files / f"corpus-{name}.json"
    cold = options.shape == "cold"
    behind = uuid.uuid4().bytes if cold else b""
    return corpus.seed(url, album, options.images, path, anew=own is not None or cold, behind=behind), path


def _settings(
    options: Options, kind: str, limits: list[thresholds.Threshold], corpus_file: Path, folder: Path
) -> Settings:
    p95 = next((limit.limit for limit in limits if (limit.group, limit.name) == ("viewers", "p95_ms")), None)
    return Settings(
        shape=options.shape,
        users=options.users or _users(options, kind),
        seconds=options.seconds,
        warm_up=options.warm_up,
        step_seconds=options.step_seconds,
        most_users=options.most_users,
        corpus=corpus_file,
        out=folder,
        **({} if p95 is None else {"p95_limit_ms": p95}),
    )


def _users(options: Options, kind: str) -> int:
    """70 % of the last knee, where one of this `kind` was found."""
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
        print(f"no knee of {kind} was found yet (SHAPE=ramp finds it): {_USERS} users")
        return _USERS
    # A spike is ten times its base: from a third of the knee it goes well beyond it.
    users = max(1, round(knee * (KNEE_SHARE if options.shape != "spike" else KNEE_SHARE / 2)))
    print(f"{users} users, since the last knee of {kind} was at {knee:.0f}")
    return users


def _kind(options: Options, own: Stack | None) -> str:
    """Whose knee it is: one machine's says nothing of another's, nor do a few cores of all."""
    if options.target:
        return target.checked(options.target)
    return f"the own stack on {own.cores.for_service}" if own and own.cores else "the own stack on shared cores"


def _locust(options: Options) -> list[str]:
    chosen = []
    if options.web is None:
        chosen.append("--headless")
    else:
        chosen += ["--web-port", str(options.web), "--web-host", "127.0.0.1"]
        print(f"locust's page: http://127.0.0.1:{options.web} (Ctrl-C ends it, and writes the report)", flush=True)
    if options.processes > 1:
        port = str(stack.free_port())  # with locust's own, the workers of two runs would join whichever master is first
        chosen += ["--processes", str(options.processes), "--master-bind-port", port, "--master-port", port]
    if options.workers:
        chosen += ["--master", "--expect-workers", str(options.workers)]
    return chosen


def _keep_knee(options: Options, kind: str, found: findings.Findings) -> None:
    """For later runs, which choose their load by it."""
    if found.knee:
        knee = {"users": found.knee.users, "goodput": round(found.knee.all.goodput, 1), "target": kind}
        (options.reports / "knee.json").write_text(json.dumps(knee) + "\n")
