"""The users of each shape over time, and the knee."""

import dataclasses

import pytest

from loadtests import knee, plans
from loadtests.knee import Reading
from loadtests.ledger import Summary

GOOD = Summary(20, 2000, 100.0, 5.0, 50.0, 90.0, 0.0, 0.0, 0.95)


def reading(users: int, goodput: float, p95_ms: float | None = 50.0, error: float = 0, refused: float = 0) -> Reading:
    all_ = dataclasses.replace(GOOD, goodput=goodput, error_share=error, refused_share=refused)
    return Reading(users, all_, dataclasses.replace(GOOD, p95_ms=p95_ms))


def test_a_steady_run_lasts_as_long_as_it_should_after_its_warm_up() -> None:
    stages = plans.plan("steady", 30, seconds=60, warm_up=10)
    assert [plans.users_at(stages, second) for second in (0, 9.9, 10, 69.9, 70)] == [30, 30, 30, 30, None]
    assert plans.windows(stages, 1000) == {"warm-up": (1000, 1010), "measured": (1010, 1070)}


def test_a_spike_is_ten_times_the_base_for_twenty_seconds() -> None:
    stages = plans.plan("spike", 5, seconds=40, warm_up=0)
    users = [plans.users_at(stages, second) for second in range(61)]
    assert users == [5] * 20 + [50] * 20 + [5] * 20 + [None]


def test_a_cold_start_has_no_warm_up() -> None:
    assert plans.plan("cold", 5, seconds=30, warm_up=10) == (plans.Stage("measured", 5, 30),)


@pytest.mark.parametrize("shape", [shape for shape in plans.SHAPES if shape != "ramp"])
def test_every_shape_has_a_default_length(shape: str) -> None:
    stages = plans.plan(shape, 1)
    assert plans.users_at(stages, 0) == 1
    assert plans.users_at(stages, 100_000) is None


def test_the_knee_is_the_last_step_whose_goodput_grew() -> None:
    readings = [reading(8, 80), reading(12, 118), reading(18, 125)]
    assert knee.bend(readings[:2], 500) is None
    assert knee.bend(readings, 500) == "goodput grew by only +6% from 12 to 18 users"
    assert knee.knee([*readings, readings[-1]], 500) == readings[1]
    assert knee.last_good(readings, 500) == readings[1]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (reading(12, 118, p95_ms=600.0), "p95 of viewers with 12 users was 600 ms, over 500 ms"),
        (reading(12, 118, error=0.02), "2.0% of the answers with 12 users were errors or refusals"),
        (reading(12, 118, refused=0.01), "1.0% of the answers with 12 users were errors or refusals"),
        (reading(12, 0, p95_ms=None), "viewers got no answers with 12 users"),
    ],
)
def test_a_slow_step_or_one_with_errors_is_beyond_the_knee(bad: Reading, why: str) -> None:
    good = [reading(5, 50), reading(8, 80)]
    assert knee.bend([*good, bad], 500) == why
    assert knee.knee([*good, bad, bad], 500) == good[-1]


@pytest.mark.parametrize(
    ("requests", "bad", "is_good"),
    [(900, 5, True), (900, 6, False), (20_000, 20, True), (20_000, 21, False)],
)
def test_a_thousandth_may_be_refused_or_a_few_answers(requests: int, bad: int, *, is_good: bool) -> None:
    step = reading(12, 118, refused=bad / requests)
    step = dataclasses.replace(step, all=dataclasses.replace(step.all, requests=requests))
    assert (knee.bend([reading(8, 80), step], 500) is None) is is_good


def test_there_is_no_knee_if_the_first_step_is_too_much() -> None:
    bad = reading(8, 80, p95_ms=900.0)
    assert knee.knee([bad, bad], 500) is None


def test_the_first_step_is_not_the_knee_because_fewer_users_might_get_as_much() -> None:
    assert knee.knee([reading(80, 400), reading(120, 405), reading(120, 403)], 500) is None


def test_a_ramp_that_did_not_reach_a_limit_has_no_knee() -> None:
    climb = [reading(8, 80), reading(12, 118)]
    assert knee.knee(climb, 500) is None
    assert knee.knee([*climb, reading(18, 125)], 500) is None
    assert knee.last_good(climb, 500) == climb[-1]


def test_a_bad_step_is_tried_again_before_the_ramp_ends() -> None:
    good, bad = reading(8, 80), reading(12, 118, p95_ms=600.0)
    assert not knee.is_over([good, bad], 500)
    assert knee.is_over([good, bad, bad], 500)
    better = [good, bad, reading(12, 118)]
    assert not knee.is_over(better, 500)
    assert knee.knee([*better, reading(18, 120), reading(18, 121)], 500) == better[-1]


def test_a_second_try_is_compared_with_the_step_before() -> None:
    readings = [reading(8, 80), reading(12, 82), reading(12, 110)]
    assert knee.bend(readings[:2], 500) == "goodput grew by only +2% from 8 to 12 users"
    assert knee.bend(readings, 500) is None


def test_steps_grow_by_half_and_always_grow() -> None:
    assert [knee.next_users(users) for users in (1, 2, 3, 8, 100)] == [2, 3, 5, 12, 150]
