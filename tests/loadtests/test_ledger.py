"""Counts by second, and what they say."""

from pathlib import Path

import pytest

from loadtests import ledger as ledgers
from loadtests.ledger import Key, Ledger, Step, Tally
from measuring.percentiles import bucket, upper_ms


def count(ledger: Ledger, second: int, name: str, cache: str, *latencies: float) -> Tally:
    tally = ledger.tally(Key(second, name, cache))
    for latency in latencies:
        tally.note(latency)
    return tally


@pytest.mark.parametrize("latency", [0.01, 0.1, 1.0, 9.99, 10.0, 123.4, 10_000.0])
def test_latencies_are_accurate_to_three_percent(latency: float) -> None:
    assert latency <= upper_ms(bucket(latency)) * 1.0001
    assert upper_ms(bucket(latency)) <= max(latency * 1.031, 0.1)


def test_percentiles_rates_and_hits_of_a_span() -> None:
    ledger = Ledger()
    count(ledger, 10, "viewers thumb", "HIT", *range(1, 100))
    count(ledger, 11, "viewers thumb", "MISS", 1000)
    count(ledger, 12, "viewers thumb", "MISS", 5000)
    summary = ledger.summary("viewers", 10, 12)
    assert summary.requests == 100
    assert summary.goodput == 50
    assert summary.hit_ratio == 0.99
    assert summary.p50_ms == pytest.approx(50, rel=0.04)
    assert summary.p99_ms == pytest.approx(99, rel=0.04)
    assert ledger.summary("viewers.missed", 10, 12).p50_ms == pytest.approx(1000, rel=0.04)


def test_refusals_and_errors_are_separate_and_have_no_latency() -> None:
    ledger = Ledger()
    tally = count(ledger, 10, "api info", "", 5, 5)
    tally.refused, tally.failed = 1, 1
    summary = ledger.summary("all", 10, 11)
    assert (summary.error_share, summary.refused_share, summary.goodput) == (0.25, 0.25, 2.0)
    assert summary.hit_ratio is None


def test_the_first_word_is_the_group() -> None:
    ledger = Ledger()
    for name in ("viewers thumb", "viewers ladder", "viewersx y", "clean-up"):
        count(ledger, 1, name, "HIT", 1)
    groups = {"all": 4, "viewers": 2, "viewers thumb": 1, "clean-up": 1, "api": 0, "viewers.cached": 2}
    assert {group: ledger.summary(group, 0, 9).requests for group in groups} == groups


def test_counts_of_workers_are_added_and_a_file_keeps_everything(tmp_path: Path) -> None:
    ledger, worker = Ledger(users={10: 3}, steps=[Step(3, 10, 12)], stopped_because="enough"), Ledger()
    count(ledger, 10, "viewers thumb", "HIT", 1)
    count(worker, 10, "viewers thumb", "HIT", 1, 2)
    worker.failures["viewers thumb: status 500"] = 2
    ledger.add(worker.packed())
    ledger.write(tmp_path / "ledger.json")
    kept = ledgers.read(tmp_path / "ledger.json")
    assert kept == ledger
    assert kept.summary("all", 10, 11).requests == 3


def test_the_span_is_from_the_first_user_to_the_last() -> None:
    assert Ledger(users={9: 0, 10: 1, 11: 5, 12: 0}).span == (10, 12)
    assert Ledger().span == (0, 0)
