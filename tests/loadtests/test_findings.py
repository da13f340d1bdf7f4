"""What a run found."""

import pytest

from loadtests import containers, findings
from loadtests.containers import Sample, Usage
from loadtests.ledger import Key, Ledger
from loadtests.settings import Settings
from loadtests.thresholds import Threshold, judge

SPIKE = Settings(shape="spike", users=2, seconds=40, warm_up=0)


def run_of(latencies: dict[range, float], cache: str = "HIT", start: int = 1000) -> Ledger:
    """Thirty answers per second, with these latencies by second."""
    ledger = Ledger(users={start + second: 2 for span in latencies for second in span})
    for span, latency in latencies.items():
        for second in span:
            ledger.tally(Key(start + second, "viewers thumb", cache)).note(latency, 30)
    return ledger


def test_a_spike_that_slows_cached_answers_has_a_time_until_normal() -> None:
    ledger = run_of({range(20): 10.0, range(20, 47): 60.0, range(47, 60): 10.0})
    found = findings.find(ledger, SPIKE).spike
    assert found
    assert found.p99_growth == pytest.approx(6, rel=0.1)
    assert found.seconds_to_normal == 7


def test_a_spike_is_not_over_while_requests_fail() -> None:
    ledger = run_of({range(60): 10.0})
    for second in range(1040, 1060):
        ledger.tally(Key(second, "api info", "")).failed = 1
    never = findings.find(ledger, SPIKE)
    assert never.spike
    assert never.spike.seconds_to_normal is None
    limit = Threshold("spike", "seconds_to_normal", 10)
    assert findings.measured([limit], ledger, never, Usage())["spike", "seconds_to_normal"] == float("inf")


def seconds_to_normal(ledger: Ledger) -> int | None:
    found = findings.find(ledger, SPIKE).spike
    assert found
    return found.seconds_to_normal


def test_it_is_normal_after_the_last_abnormal_second_not_after_the_first_normal_one() -> None:
    assert (
        seconds_to_normal(run_of({range(40): 10.0, range(40, 50): 10.0, range(50, 52): 60.0, range(52, 60): 10.0}))
        == 12
    )
    assert seconds_to_normal(run_of({range(60): 10.0})) == 0
    assert seconds_to_normal(run_of({range(40): 10.0, range(40, 58): 10.0, range(58, 60): 60.0})) is None
    assert seconds_to_normal(run_of({range(43): 10.0})) is None


@pytest.mark.parametrize(("refused", "seconds"), [(1, 0), (3, 16)])
def test_one_refusal_in_a_hundred_is_normal_and_three_are_not(refused: int, seconds: int) -> None:
    ledger = run_of({range(60): 10.0})
    for second in range(1000, 1060):
        ledger.tally(Key(second, "viewers thumb", "HIT")).note(10.0, 70)
    ledger.tally(Key(1055, "api info", "")).refused = refused
    assert seconds_to_normal(ledger) == seconds


def test_a_spike_without_varnish_is_not_judged() -> None:
    limit = Threshold("spike", "seconds_to_normal", 10)
    ledger = run_of({range(60): 10.0}, "")
    measured = findings.measured([limit], ledger, findings.find(ledger, SPIKE), Usage())
    (verdict,) = judge([limit], measured)
    assert verdict.passed is None


def test_a_cold_cache_is_warm_when_most_answers_are_hits() -> None:
    ledger = run_of({range(30): 100.0}, "MISS")
    for second in range(1010, 1030):
        ledger.tally(Key(second, "viewers thumb", "HIT")).note(0.1, 300)
    found = findings.find(ledger, Settings(shape="cold", users=2, seconds=30))
    assert found.judged == (1000, 1030)
    assert found.warm_after == 10


def test_the_warm_up_is_not_judged() -> None:
    ledger = run_of({range(70): 10.0})
    assert findings.find(ledger, Settings(shape="steady", seconds=60, warm_up=10)).judged == (1010, 1070)


@pytest.mark.parametrize("shape", ["steady", "ramp", "spike"])
def test_a_run_that_ends_in_its_warm_up_is_not_judged(shape: str) -> None:
    start, end = findings.find(run_of({range(5): 10.0}), Settings(shape=shape, seconds=60, warm_up=30)).judged
    assert start >= end


def test_the_own_stack_must_have_all_values_but_misses_and_memory_in_a_short_run() -> None:
    kinds = (("hits", "p95_ms"), ("viewers", "hit_ratio"), ("viewers.missed", "p95_ms"), ("memory", "growth"))
    limits = [Threshold(group, name, 1) for group, name in kinds]
    short, long = (findings.Findings(Settings(), (0, seconds)) for seconds in (120, 600))
    assert findings.required(limits, short) == set(limits[:2])
    assert findings.required(limits, long) == {*limits[:2], limits[3]}


def test_growth_of_memory_ignores_the_start() -> None:
    used = [1, 50, 100, 100, 100, 100, 120, 120]
    samples = [Sample(float(second), "transform 1", 0.5, size * 2**21) for second, size in enumerate(used)]
    assert containers.growth(samples) == pytest.approx(0.2)
    assert containers.growth(samples[:3]) is None


def test_a_little_memory_may_double() -> None:
    used = [1, 10, 10, 10, 10, 10, 20, 20]
    samples = [Sample(float(second), "nginx 1", 0.5, size * 2**20) for second, size in enumerate(used)]
    assert containers.growth(samples) == pytest.approx(0.1)


@pytest.mark.parametrize(("seconds", "passed"), [(600, [True, False]), (120, [None, None])])
def test_the_growing_container_is_named_and_caches_may_grow(seconds: int, passed: list[bool | None]) -> None:
    grown = {"locust": 2, "this machine": 1, "redis 1": 2, "storage 1": 1, "transform 1": 2, "varnish 2": 2}
    usage = Usage()
    for second in range(0, seconds, 10):
        for name, times in grown.items():
            usage.samples.append(Sample(second, name, 0.5, (times if second > seconds / 2 else 1) * 2**30))
    found = findings.Findings(Settings(shape="steady"), (0, seconds))
    limits = findings.by_part([Threshold("memory", "growth", 0.1)], usage)
    verdicts = judge(limits, findings.measured(limits, run_of({range(1): 1.0}), found, usage))
    assert [verdict.threshold.group for verdict in verdicts] == ["memory of storage 1", "memory of transform 1"]
    assert [verdict.passed for verdict in verdicts] == passed
    if passed[1] is False:
        assert str(verdicts[1]).startswith("memory of transform 1: growth is 100.00%, must be at most 10.00%")


def test_a_line_of_docker_stats_is_parsed() -> None:
    row = {"Name": "imgsvc-load_transform_1", "CPUPerc": "150.25%", "MemUsage": "123.5MiB / 2GiB"}
    assert containers.sample(1.0, row) == Sample(1.0, "transform 1", 1.5025, 129_499_136)
    assert containers.sample(1.0, {**row, "Name": "imgsvc-load-redis-1", "MemUsage": "0B / 0B"}).part == "redis 1"


@pytest.mark.parametrize(("seconds", "missing"), [(60, 0), (58, 0), (30, 30)])
def test_an_interrupted_run_misses_seconds(seconds: int, missing: int) -> None:
    steady = Settings(shape="steady", users=2, seconds=60, warm_up=0)
    assert findings.find(run_of({range(seconds): 10.0}), steady).ended_early == missing
