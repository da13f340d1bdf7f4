"""Short load tests of the running service: every response is right, and there is a report."""

import asyncio
import re
from pathlib import Path

import pytest

from loadtests import corpus, photos, thresholds
from loadtests import ledger as ledgers
from loadtests.ledger import LATE
from tests.end_to_end.conftest import Service
from tests.faults.length import LONG
from tests.loadtests.running import interrupted, loadtests

LIMITS = """\
[default.all]
error_share = 0.0
"""
"""No limits on times, since CI machines differ. A wrong response is wrong on all of them."""

KINDS = {f"{group} {kind}" for group, kinds in thresholds.KINDS.items() for kind in kinds} | {LATE, "clean-up"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("load-files")


@pytest.fixture
def short(service: Service, tmp_path: Path, files: Path) -> tuple[object, ...]:
    folders = ("--reports", tmp_path / "reports", "--files", files, "--thresholds", tmp_path / "limits.toml")
    return ("--target", service.url, "--images", 4, "--no-warm", "--no-hits", "--warm-up", 2, *folders)


@pytest.mark.parametrize("running", ["compose"], indirect=True, scope="session")
@pytest.mark.usefixtures("wallpapers")
def test_visitors_get_right_responses_and_a_report_is_written(short: tuple[object, ...], tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text(LIMITS)
    done = loadtests(*short, "--users", 20, "--seconds", 20)
    assert done.returncode == 0, done.stdout + done.stderr
    (report,) = (tmp_path / "reports").iterdir()
    names = {path.name for path in report.iterdir()}
    assert {"report.html", "seconds.csv", "parts.csv", "traffic.png", "parts.png", "locust.html"} <= names
    assert f"report: {report / 'report.html'}" in done.stdout
    counted = ledgers.read(report / "ledger.json")
    assert not counted.failures
    assert set(counted.names()) <= KINDS
    for group in ("viewers", "uploaders", "api", "attackers"):
        assert counted.summary(group, *counted.span).requests, group
    assert counted.summary("viewers", *counted.span).hit_ratio


@pytest.mark.parametrize("running", ["embedded"], indirect=True, scope="session")
@pytest.mark.usefixtures("wallpapers")
def test_a_broken_threshold_is_one_line_and_exit_code_1(short: tuple[object, ...], tmp_path: Path) -> None:
    """A ramp of one step, in two locust processes that send their counts to a third."""
    (tmp_path / "limits.toml").write_text(f"{LIMITS}[default.viewers]\np50_ms = 0.01\ngoodput = 1000000\n")
    step = ("--users", 17, "--most-users", 17, "--step-seconds", 4)
    done = loadtests(*short, "--shape", "ramp", *step, "--processes", 2)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = [line for line in done.stderr.splitlines() if line.startswith("threshold broken: ")]
    assert [line.split(" is ")[0] for line in broken] == [
        "threshold broken: viewers: p50_ms",
        "threshold broken: viewers: goodput",
    ]
    assert "Traceback" not in done.stderr
    assert re.search(r"^No knee", done.stdout, re.MULTILINE), done.stdout
    assert not (tmp_path / "reports" / "knee.json").exists()
    (report,) = (tmp_path / "reports").glob("*-ramp")
    assert (report / "knee.png").exists()
    counted = ledgers.read(report / "ledger.json")
    assert not counted.failures
    assert set(counted.names()) <= KINDS
    assert counted.summary("viewers", *counted.span).hit_ratio is None, "Varnish does not run here"


@pytest.mark.skipif(not LONG, reason="it takes long; LONG=1 runs it")
@pytest.mark.parametrize("running", ["embedded"], indirect=True, scope="session")
@pytest.mark.usefixtures("wallpapers")
def test_a_run_without_varnish_cannot_check_thresholds_of_hits(short: tuple[object, ...], tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("[default.hits]\np95_ms = 10\n")
    done = loadtests(*short, "--users", 5, "--seconds", 3)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("loadtests: no threshold was judged: ")
    assert list((tmp_path / "reports").glob("*-steady/report.html"))


@pytest.mark.skipif(not LONG, reason="it takes long; LONG=1 runs it")
@pytest.mark.parametrize("running", ["embedded"], indirect=True, scope="session")
@pytest.mark.usefixtures("wallpapers")
def test_a_run_interrupted_during_its_warm_up_measures_nothing(short: tuple[object, ...], tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text(LIMITS)
    done = interrupted(*short, "--users", 5, "--seconds", 3, "--warm-up", 100, after="good/s")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("loadtests: nothing was measured: the run ended in its ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("running", ["embedded"], indirect=True, scope="session")
@pytest.mark.usefixtures("wallpapers")
async def test_stored_photos_are_not_uploaded_again(service: Service, tmp_path: Path, files: Path) -> None:
    def seeded(*, anew: bool = False) -> list[str]:
        album = photos.Album(files)
        return [entry.image_id for entry in corpus.seed(service.url, album, 3, tmp_path / "corpus.json", anew=anew)]

    first = await asyncio.to_thread(seeded)
    async with service.http.delete(f"{service.url}/v1/images/{first[1]}") as response:
        assert response.status == 204
    again = await asyncio.to_thread(seeded)
    assert [old == new for old, new in zip(first, again, strict=True)] == [True, False, True]
    assert not set(await asyncio.to_thread(seeded, anew=True)) & {*first, *again}
