"""What precomputing a chain saves and costs, and which chains automatic mode chooses."""

from dataclasses import replace

import pytest

from service_kit.usage import ORIGINAL, OTHER, Outcome
from storage_service.advice import Advice, Budget, Site, advise, choose
from storage_service.usage import ChainUsage, Rendered

SITE = Site(images=700, uploads_per_day=100)
ROOM = Budget(bytes=10**9, cores=1, chains=40)


def used(chain: str, renders: int, variants: int = 0, hits: int = 0) -> ChainUsage:
    outcomes = {Outcome.LEVEL: renders, Outcome.VARIANT: variants, Outcome.HIT: hits}
    return ChainUsage(
        chain, {str(k): v for k, v in outcomes.items()}, renders * 0.01, 1000 * (renders + variants + hits)
    )


def one(usage: ChainUsage, *, precomputed: bool = False, days: float = 1.0) -> Advice:
    there = {usage.chain: True} if precomputed else {}
    (found,) = advise([usage], days, SITE, there, {usage.chain: Rendered(0.01, 1000, 1.0)})
    return found


def test_the_numbers_are_per_day() -> None:
    found = one(used("webp?thumb=300", renders=1000, hits=9000), days=0.5)
    assert found.requests == 20_000
    assert found.saves_seconds == pytest.approx(20)
    assert (found.new_seconds, found.existing_seconds) == (pytest.approx(1), pytest.approx(7))
    assert (found.new_bytes, found.existing_bytes) == (100_000, 700_000)
    assert found.cost_seconds == pytest.approx(2)
    assert found.reason == "saves 20.0 s a day for 2.0 s"


@pytest.mark.parametrize(("renders", "precomputed", "verdict"), [
    (401, False, "adopt"), (399, False, "leave"), (399, True, "keep"), (51, True, "keep"), (49, True, "drop"),
])  # fmt: skip
def test_the_verdict_has_room_for_demand_that_varies(renders: int, precomputed: bool, verdict: str) -> None:
    assert one(used("webp?thumb=300", renders), precomputed=precomputed).verdict == verdict


def test_what_is_precomputed_counts_as_the_renders_that_it_saves() -> None:
    before = one(used("webp?thumb=300", renders=1000))
    after = one(used("webp?thumb=300", renders=3, variants=997), precomputed=True)
    assert (before.verdict, after.verdict) == ("adopt", "keep")
    assert after.saves_seconds == before.saves_seconds


def test_little_is_not_worth_the_trouble() -> None:
    (found,) = advise([used("webp?thumb=9", 50)], 1, Site(1, 0), {}, {"webp?thumb=9": Rendered(0.01, 1000, 1.0)})
    assert (found.ratio > 100, found.verdict) == (True, "leave")


def test_a_few_renders_say_nothing_about_a_day() -> None:
    few, enough = (one(used("webp?thumb=300", renders), days=1 / 24) for renders in (9, 24))
    assert (few.verdict, few.reason) == ("leave", "fewer than 10 renders so far")
    assert (enough.verdict, enough.reason) == ("adopt", "saves 5.8 s a day for 2.0 s")


def test_what_was_never_rendered_is_a_guess() -> None:
    (found,) = advise([], 1, SITE, {"webp?thumb=9": True}, {})
    assert found.reason == "saves about 0.0 s a day for about 5.0 s"


def test_originals_and_the_rest_get_no_advice_and_a_chain_without_requests_does() -> None:
    others = [used(ORIGINAL, 9), used(OTHER, 9), used("jpg?watermark=*", 9999)]
    found = advise(others, 1, SITE, {"jpg?thumb=9": True}, {})
    assert [(each.chain, each.verdict) for each in found] == [("jpg?thumb=9", "drop")]


def advice(chain: str, ratio: float, *, size: int = 100, seconds: float = 1.0, precomputed: bool = False) -> Advice:
    return Advice(chain, 0, ratio * seconds, seconds, 0, 0, size, is_precomputed=precomputed, is_paid=precomputed)


def test_the_best_chains_that_fit_are_adopted() -> None:
    offered = [advice("a", 3, size=60), advice("b", 9, size=60), advice("c", 5, size=40), advice("d", 1.9)]
    assert choose(offered, (), replace(ROOM, bytes=112)) == (["b", "c"], [])
    assert choose(offered, (), replace(ROOM, chains=1)) == (["b"], [])
    assert choose(offered, (), replace(ROOM, cores=2.5 / 86_400)) == (["b", "c"], [])


def test_a_chain_that_an_operator_added_stays_and_takes_its_room() -> None:
    offered = [advice("a", 0, size=70, precomputed=True), advice("b", 9, size=40)]
    assert choose(offered, (), replace(ROOM, bytes=100)) == ([], [])
    assert choose(offered, ["a"], replace(ROOM, bytes=100)) == (["b"], ["a"])


def test_what_no_longer_fits_is_dropped_worst_first() -> None:
    kept = [advice("a", 9, size=60, precomputed=True), advice("b", 5, size=60, precomputed=True)]
    assert choose(kept, ["a", "b"], replace(ROOM, bytes=120)) == ([], [])
    assert choose(kept, ["a", "b"], replace(ROOM, bytes=119)) == ([], ["b"])
    assert choose(kept, ["a"], replace(ROOM, bytes=119)) == ([], ["a"]), "an operator's chain stays"


def test_a_backfill_in_progress_counts_against_the_cores() -> None:
    filling = replace(advice("a", 9, precomputed=True), is_paid=False, existing_seconds=7 * 86_400)
    assert choose([filling, advice("b", 9)], ["a"], replace(ROOM, cores=2)) == (["b"], [])
    assert choose([filling, advice("b", 9)], ["a"], replace(ROOM, cores=1.00002)) == ([], []), "it is no better"


def test_results_from_the_cache_are_no_savings() -> None:
    usage = used("webp?thumb=300", renders=0, variants=1000)
    (found,) = advise([usage], 1, SITE, {usage.chain: True}, {usage.chain: Rendered(0.01, 1000, share=0.1)})
    assert found.saves_seconds == pytest.approx(1)


def test_a_chain_gives_way_only_to_one_that_is_much_better() -> None:
    kept = advice("a", 2, size=70, precomputed=True)
    for ratio, chosen in ((7.9, ([], [])), (8.1, (["b"], ["a"]))):
        assert choose([kept, advice("b", ratio, size=70)], ["a"], replace(ROOM, bytes=100)) == chosen
    assert choose([kept, advice("b", 9, size=101)], ["a"], replace(ROOM, bytes=100)) == ([], []), "it never fits"


def test_demand_that_varies_around_a_limit_changes_nothing() -> None:
    """Each verdict is that of the state that the one before has led to."""
    precomputed, changes = False, 0
    for hour in range(48):
        renders = 420 if hour % 2 else 60
        adopted, dropped = choose([one(used("a?b", renders), precomputed=precomputed)], ["a?b"], ROOM)
        changes += len(adopted) + len(dropped)
        precomputed = (precomputed or bool(adopted)) and not dropped
    assert (precomputed, changes) == (True, 1)
