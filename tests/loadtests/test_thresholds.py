"""The limits of a run."""

from pathlib import Path

import pytest

from loadtests import plans, thresholds
from loadtests.options import HERE
from loadtests.thresholds import BadThresholds, Threshold


def written(folder: Path, text: str) -> Path:
    path = folder / "thresholds.toml"
    path.write_text(text)
    return path


def test_a_shape_overrides_single_values_of_the_default(tmp_path: Path) -> None:
    path = written(tmp_path, "[default.all]\np95_ms = 1\np99_ms = 2\n[spike.all]\np99_ms = 9\n[cold.api]\np95_ms = 7\n")
    assert thresholds.load(path, "spike") == [Threshold("all", "p95_ms", 1.0), Threshold("all", "p99_ms", 9.0)]


@pytest.mark.parametrize(
    ("name", "limit", "value", "passed"),
    [
        ("p95_ms", 10, 10.0, True),
        ("p95_ms", 10, 10.1, False),
        ("error_share", 0, 0.0, True),
        ("error_share", 0, 0.0001, False),
        ("hit_ratio", 0.9, 0.9, True),
        ("hit_ratio", 0.9, 0.89, False),
        ("goodput", 50, 40.0, False),
        ("p99_growth", 2, None, None),
    ],
)
def test_a_limit_is_kept_or_broken(name: str, limit: float, value: float | None, passed: bool | None) -> None:
    verdicts = thresholds.judge([Threshold("viewers", name, limit)], {("viewers", name): value})
    assert [verdict.passed for verdict in verdicts] == [passed]
    assert thresholds.broken(verdicts) == (verdicts if passed is False else [])


def test_a_broken_threshold_is_one_line() -> None:
    (hits,) = thresholds.judge([Threshold("viewers", "hit_ratio", 0.9)], {("viewers", "hit_ratio"): 0.5})
    assert str(hits) == "viewers: hit_ratio is 50.00%, must be at least 90.00%"
    (p95,) = thresholds.judge([Threshold("api", "p95_ms", 200)], {("api", "p95_ms"): 212.34})
    assert str(p95) == "api: p95_ms is 212.3 ms, must be at most 200.0 ms"


def test_a_missing_value_is_not_judged() -> None:
    verdicts = thresholds.judge([Threshold("viewers", "hit_ratio", 0.9)], {})
    assert not thresholds.broken(verdicts)
    assert str(verdicts[0]) == "viewers: hit_ratio is not measured, must be at least 90.00%"


def test_a_missing_value_that_is_required_breaks_the_limit() -> None:
    limit = Threshold("hits", "p95_ms", 10)
    (verdict,) = thresholds.judge([limit], {}, {limit})
    assert thresholds.broken([verdict]) == [verdict]
    assert str(verdict) == "hits: p95_ms is not measured, must be at most 10.0 ms"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[default.all]\np96_ms = 1", "default.all.p96_ms: 'p96_ms' does not exist; did you mean 'p9"),
        ("[default.all]\np95_ms = 'fast'", "default.all.p95_ms: 'fast' is not a number"),
        ("[default.all", "cannot be read"),
        ("[stedy.all]\np95_ms = 1", "'stedy' does not exist; did you mean 'steady'"),
        (
            "[cold.viewer]\np95_ms = 1",
            "cold.viewer.p95_ms: 'viewer' does not exist; did you mean 'viewers'",
        ),
        ("[cold.'api inf']\np95_ms = 1", "'api inf' does not exist; did you mean 'api info'"),
        ("[cold.'viewers.cashed']\np95_ms = 1", "'viewers.cashed' does not exist; did you mean 'viewers.cached'"),
        ("[cold.viewers.missed]\np95_ms = 1", r"in quotes, as in \[default.\"viewers.missed\"\]"),
        ("[cold.viewers]\ngrowth = 1", "cold.viewers.growth: 'growth' does not exist; there are error_share, goodput"),
        ("[soak.memory]\np95_ms = 1", "soak.memory.p95_ms: 'p95_ms' does not exist; there are growth"),
        ("cold = 1", "cold: 1 is not a table"),
        ("[cold]\napi = 1", "cold.api: 1 is not a table"),
    ],
)
def test_a_mistake_in_the_file_is_located(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadThresholds, match=said):
        thresholds.load(written(tmp_path, text), "steady")


def test_a_file_in_another_encoding_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.toml"
    path.write_bytes("[default.all] # naïve".encode("latin-1"))
    with pytest.raises(BadThresholds, match=r"thresholds\.toml cannot be read: 'utf-8' codec"):
        thresholds.load(path, "steady")


@pytest.mark.parametrize(
    "group", ["all", "hits", "viewers thumb", "viewers.cached", "api info.missed", "locust itself"]
)
def test_every_group_and_kind_may_have_limits(tmp_path: Path, group: str) -> None:
    path = written(tmp_path, f"[default.'{group}']\np95_ms = 1\n")
    assert thresholds.load(path, "steady") == [Threshold(group, "p95_ms", 1.0)]


@pytest.mark.parametrize("shape", plans.SHAPES)
def test_the_default_file_has_limits_for_every_shape(shape: str) -> None:
    limits = {(limit.group, limit.name) for limit in thresholds.load(HERE / "thresholds.toml", shape)}
    assert {("api", "error_share"), ("viewers", "hit_ratio"), ("hits", "p99_ms")} <= limits


@pytest.mark.parametrize("shape", plans.SHAPES)
def test_refusing_everything_breaks_a_limit_of_every_group_in_every_shape(shape: str) -> None:
    limits = [limit for limit in thresholds.load(HERE / "thresholds.toml", shape) if limit.name == "refused_share"]
    assert {limit.group for limit in limits} == {"hits", "viewers", "uploaders", "api", "attackers"}
    assert not any(limit.holds(1.0) for limit in limits)
