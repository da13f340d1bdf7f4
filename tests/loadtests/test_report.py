"""The headline of a report, and the knee that is remembered."""

import dataclasses
from pathlib import Path

import pytest

from loadtests import knee, report, run
from loadtests.containers import LOCUST, Sample, Usage
from loadtests.cores import Cores
from loadtests.findings import Findings
from loadtests.knee import Reading
from loadtests.ledger import LATE, Key, Ledger
from loadtests.options import Options
from loadtests.report import Run, _sources, headline
from loadtests.settings import Settings
from loadtests.stack import Stack
from loadtests.thresholds import Threshold, judge
from tests.loadtests.test_shapes import reading


def ramp(*readings: Reading, most_users: int = 5000) -> Run:
    """A run of these steps."""
    found = Findings(Settings(shape="ramp", most_users=most_users), (0, 1), readings, knee.knee(readings, 500))
    ledger = Ledger(stopped_because=knee.bend(readings, 500) or "")
    return Run(
        "",
        "",
        "",
        ours=True,
        cores=None,
        processes=1,
        ledger=ledger,
        usage=Usage(),
        findings=found,
        verdicts=(),
        hits="",
    )


CLIMB = (reading(8, 80), reading(12, 118))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (ramp(*CLIMB, reading(18, 120), reading(18, 121)), "The knee is at 12 users: 118 right answers per second"),
        (ramp(*CLIMB), "No knee: the ramp was interrupted after 12 users: 118 right answers"),
        (ramp(*CLIMB, reading(18, 120), most_users=20), "No knee: the ramp was interrupted after 18 users"),
        (ramp(*CLIMB, most_users=17), "No knee, and no limit up to 12 users: 118 right answers"),
        (
            ramp(reading(8, 80), reading(12, 81), reading(12, 82)),
            "No knee: 8 users may already be too many, since good",
        ),
        (ramp(reading(8, 0, p95_ms=None), reading(8, 0, p95_ms=None)), "No knee: even the first step was too much"),
    ],
)
def test_a_ramp_has_a_knee_or_a_reason(told: Run, said: str) -> None:
    assert headline(told).startswith(said)
    assert "because ." not in headline(told)


@pytest.mark.parametrize(
    ("late", "p95", "used", "said"),
    [
        (238, 292, 0.3, "it had too few of them, and was late"),
        (238, 900, 0.3, "it was not the limit"),
        (24, 24, 0.3, "it was not the limit"),
        (3, 292, 0.9, "the client is the limit, not the service"),
    ],
)
def test_locust_is_the_limit_by_its_cores_or_by_its_delay(late: float, p95: float, used: float, said: str) -> None:
    told = ramp(*CLIMB, reading(18, 120), reading(18, 121))
    for name, latency in ((LATE, late), ("viewers thumb", p95)):
        told.ledger.tally(Key(0, name, "HIT")).note(latency, 100)
    told.usage.samples.append(Sample(0.5, LOCUST, used, 1))
    assert f"Locust itself used {used:.2f} cores in 1 processes: {said}." in "\n".join(_sources(told))
    assert ("most of the visitors' latency is its own" in headline(told)) is (
        said == "it had too few of them, and was late"
    )


def kind(target: str | None = None, cores: Cores | None = None) -> str:
    own = Stack("http://127.0.0.1:1", "docker", (), cores=cores)
    return run._kind(Options("steady", target), None if target else own)


def test_a_knee_is_used_only_for_its_own_target(tmp_path: Path) -> None:
    found = ramp(*CLIMB, reading(18, 120), reading(18, 121)).findings
    options = Options("steady", reports=tmp_path)
    kinds = {kind(), kind(cores=Cores((0,), (1,))), kind(cores=Cores((0, 1), (2, 3))), kind("http://there:8080")}
    assert len(kinds) == 4
    for each in kinds:
        run._keep_knee(options, each, found)
        assert {other for other in kinds if run._users(options, other) == 8} == {each}
    assert kind("http://there:8080/") == kind("http://there:8080")


def test_a_ramp_without_a_knee_keeps_the_old_one(tmp_path: Path) -> None:
    run._keep_knee(Options("ramp", reports=tmp_path), kind(), ramp(*CLIMB).findings)
    assert not list(tmp_path.iterdir())


def test_the_page_has_all_tables_and_escapes_what_it_shows(tmp_path: Path) -> None:
    shown = ramp(*CLIMB, reading(18, 120), reading(18, 121))
    limits = [Threshold("viewers", "p95_ms", 10), Threshold("api", "p95_ms", 10)]
    verdicts = judge(limits, {("viewers", "p95_ms"): 20.0})
    shown = dataclasses.replace(shown, verdicts=verdicts, asked="loadtests --target <b>")
    shown.ledger.users[0] = 3
    shown.ledger.tally(Key(0, "viewers thumb", "HIT")).note(7, 100)
    shown.ledger.failures["viewers thumb: <html> instead of image/webp"] += 1
    page = report.write(shown, tmp_path).read_text()
    assert "1 of 2 thresholds are broken." in page
    assert '<tr class="broken"><td>viewers: p95_ms is 20.0 ms, must be at most 10.0 ms</td><td>BROKEN</td>' in page
    assert "<td>api: p95_ms is not measured, must be at most 10.0 ms</td><td>not judged</td>" in page
    for row in ("<td>viewers thumb</td><td>100</td>", "<td>18</td><td>2000</td>", "<td>viewers thumb: &lt;html&gt;"):
        assert row in page
    assert "--target &lt;b&gt;" in page
    assert {"report.html", "knee.png", "traffic.png", "seconds.csv"} <= {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "seconds.csv").read_text().splitlines()[1].startswith("0,3,all,100,100.0,")
