"""What the probe counts."""

import time
from collections.abc import Iterator, Mapping

import pytest

from loadtests import probe
from loadtests.ledger import PROBE_MISSES, PROBED, Ledger, Summary

HIT = {"X-Cache": "HIT"}


def all_of(ledger: Ledger, group: str) -> Summary:
    return ledger.summary(group, min(ledger.tallies), max(ledger.tallies) + 1)


def probed(monkeypatch: pytest.MonkeyPatch, taken: Iterator[float]) -> Summary:
    """The hits of a probe whose answers take these seconds."""

    def ask(*_: object) -> tuple[int, Mapping[str, str]]:
        seconds = next(taken, None)
        if seconds is None:
            raise probe._Over
        time.sleep(seconds)
        return 200, HIT

    monkeypatch.setattr(probe, "_ask", ask)
    return all_of(probe._probe("http://127.0.0.1:1", "/"), PROBED)


def test_requests_delayed_by_a_slow_answer_count_from_when_they_were_due(monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.perf_counter()
    found = probed(monkeypatch, iter([0.4] + [0.0] * 39))
    assert time.perf_counter() - start == pytest.approx(0.8, abs=0.15), (
        "it catches up with the delayed ones, and sends no more"
    )
    assert found.requests == 40
    assert found.p99_ms == pytest.approx(400, rel=0.1)
    assert found.p95_ms == pytest.approx(360, rel=0.15), "not only the slow one"


def test_its_own_late_wake_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = time.sleep
    monkeypatch.setattr(probe.time, "sleep", lambda seconds: slept(seconds + 0.05 if seconds else 0))
    found = probed(monkeypatch, iter([0.0] * 10))
    assert found.p50_ms < 20  # each would take 50 ms; a busy machine delays one or the other


@pytest.mark.parametrize(
    ("status", "headers", "requests", "refused", "failed"),
    [
        (200, HIT, 1, 0, 0),
        (200, {"X-Cache": "STALE"}, 1, 0, 0),
        (200, {}, 0, 0, 0),
        (429, {"Retry-After": "1"}, 1, 1, 0),
        (503, {"Retry-After": "1"}, 1, 1, 0),
        (503, {}, 1, 0, 1),
        (0, {}, 1, 0, 1),
    ],
)
def test_a_clean_refusal_is_not_a_failure(
    status: int, headers: dict[str, str], requests: int, refused: int, failed: int
) -> None:
    ledger = Ledger()
    probe.note(ledger, status, headers, 1.0)
    found = all_of(ledger, PROBED)
    assert (found.requests, found.refused_share, found.error_share) == (requests, refused, failed)


def test_misses_are_counted_separately() -> None:
    ledger = Ledger()
    probe.note(ledger, 200, {"X-Cache": "MISS"}, 1.0)
    assert {group: all_of(ledger, group).requests for group in (PROBED, "all", PROBE_MISSES)} == {
        PROBED: 0,
        "all": 0,
        PROBE_MISSES: 1,
    }
