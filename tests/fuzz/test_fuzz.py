"""A quarter of a minute of fuzzing, always with the same cases; `make fuzz TIME=3600` goes on with others."""

from pathlib import Path

from tests.fuzz.cases import Case, case
from tests.fuzz.run import fuzz

_SECONDS = 15
_SEED = 1


def test_fifteen_seconds_of_mutated_requests_breaks_nothing(tmp_path: Path) -> None:
    report = fuzz(_SEED, _SECONDS, tmp_path / "service", tmp_path / "saved")
    print(f"\n{report}")
    assert report.cases > 100
    assert {200, 201, 204, 400, 415, 422} <= set(report.statuses)


def test_a_case_is_determined_by_its_seed_and_number_and_can_be_saved() -> None:
    cases = [case(7, number) for number in range(50)]
    assert cases == [case(7, number) for number in range(50)]
    assert cases != [case(8, number) for number in range(50)]
    assert [Case.load(each.saved()) for each in cases] == cases
    assert {each.kind for each in cases} == {"upload", "transform", "multipart", "headers", "parameters"}
