"""What a run must keep (thresholds.toml), held against what was measured."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

AT_LEAST = {"hit_ratio", "goodput"}
AT_MOST = {"p50_ms", "p95_ms", "p99_ms", "error_share", "refused_share"}
_SPECIAL = {"p99_growth", "seconds_to_normal", "growth"}
_SHARES = {"error_share", "refused_share", "hit_ratio"}

Measured = Mapping[tuple[str, str], float | None]
"""Values by group and name; None, or no such key, where a run has none."""


class BadThresholds(Exception):
    """The file of thresholds cannot be used."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """One limit."""

    group: str
    name: str
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a value keeps it."""
        return value >= self.limit if self.name in AT_LEAST else value <= self.limit


@dataclass(frozen=True, slots=True)
class Verdict:
    """A limit beside what was measured."""

    threshold: Threshold
    value: float | None

    @property
    def passed(self) -> bool | None:
        """None where nothing was measured."""
        return None if self.value is None else self.threshold.holds(self.value)

    def __str__(self) -> str:
        """One line, as it is printed for a threshold that is broken."""
        name = self.threshold.name
        most = "at the least" if name in AT_LEAST else "at the most"
        value = "not measured" if self.value is None else _text(name, self.value)
        return f"{self.threshold.group}: {name} is {value}, {_text(name, self.threshold.limit)} {most}"


def load(path: Path, shape: str) -> list[Threshold]:
    """The limits of a shape."""
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadThresholds(f"{path} cannot be read: {error}") from error
    merged: dict[tuple[str, str], float] = {}
    for section in ("default", shape):
        for group, values in tables.get(section, {}).items():
            for name, limit in values.items():
                merged[group, name] = _checked(path, f"{section}.{group}.{name}", name, limit)
    return [Threshold(group, name, limit) for (group, name), limit in merged.items()]


def judge(limits: Sequence[Threshold], measured: Measured) -> list[Verdict]:
    """Every limit beside its value."""
    return [Verdict(limit, measured.get((limit.group, limit.name))) for limit in limits]


def broken(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Those that failed."""
    return [verdict for verdict in verdicts if verdict.passed is False]


def _checked(path: Path, place: str, name: str, limit: object) -> float:
    if name not in AT_LEAST | AT_MOST | _SPECIAL:
        known = ", ".join(sorted(AT_LEAST | AT_MOST | _SPECIAL))
        raise BadThresholds(f"{path}: {place}: there is no {name!r}; there are {known}")
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise BadThresholds(f"{path}: {place}: {limit!r} is no number")
    return float(limit)


def _text(name: str, value: float) -> str:
    if name in _SHARES:
        return f"{value:.2%}"
    return f"{value:.1f} ms" if name.endswith("_ms") else f"{value:.2f}"
