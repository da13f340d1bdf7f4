"""The limits that a run must keep (thresholds.toml), and their verdicts."""

import difflib
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests import plans
from loadtests.ledger import LATE, PROBED, ROLES

AT_LEAST = {"hit_ratio", "goodput"}
AT_MOST = {"p50_ms", "p95_ms", "p99_ms", "error_share", "refused_share"}
MEMORY = "memory"
_SPECIAL = {"spike": {"p99_growth", "seconds_to_normal"}, MEMORY: {"growth"}}
"""Sections that are not groups of answers, and their values."""
KINDS = {
    "viewers": ("ladder", "square", "thumb", "original", "any width"),
    "uploaders": ("upload", "first look", "delete"),
    "api": ("info", "transform id", "transform file", "upload", "delete", "deleted"),
    "attackers": ("bad id", "parameter walk", "bomb", "broken"),
}
"""The requests of each group of visitors."""
_ANSWERS = (PROBED, LATE, "all", *KINDS, *(f"{group} {kind}" for group, kinds in KINDS.items() for kind in kinds))
_PARTS = ("", *(f".{role}" for role in ROLES))
_NAMES = {f"{answers}{part}": AT_LEAST | AT_MOST for answers in _ANSWERS for part in _PARTS} | _SPECIAL
"""The values of every group."""
_SECTIONS = ("default", *plans.SHAPES)
_SHARES = {"error_share", "refused_share", "hit_ratio", "growth"}

Measured = Mapping[tuple[str, str], float | None]
"""Values by group and name, if the run has them."""


class BadThresholds(Exception):
    """The file of thresholds is invalid."""


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
    """A limit and its measured value."""

    threshold: Threshold
    value: float | None
    required: bool = False
    """Without a value, the limit is broken."""

    @property
    def passed(self) -> bool | None:
        """None without a value that is not required."""
        if self.value is None:
            return False if self.required else None
        return self.threshold.holds(self.value)

    def __str__(self) -> str:
        name = self.threshold.name
        value = "not measured" if self.value is None else _text(name, self.value)
        limit = f"{'at least' if name in AT_LEAST else 'at most'} {_text(name, self.threshold.limit)}"
        return f"{self.threshold.group}: {name} is {value}, must be {limit}"


def load(path: Path, shape: str) -> list[Threshold]:
    """The limits of a shape. Those of all shapes are checked: a misspelt one would never be judged.

    Raises:
        BadThresholds: the file cannot be read, or contains unknown names.

    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadThresholds(f"{path} cannot be read: {error}") from error
    try:
        sections = {section: _section(section, groups) for section, groups in tables.items()}
    except BadThresholds as error:
        raise BadThresholds(f"{path}: {error}") from error
    merged = {**sections.get("default", {}), **sections.get(shape, {})}
    return [Threshold(group, name, limit) for (group, name), limit in merged.items()]


def judge(limits: Sequence[Threshold], measured: Measured, required: Collection[Threshold] = ()) -> list[Verdict]:
    """A verdict on every limit. Those in `required` are broken without a value."""
    return [Verdict(limit, measured.get((limit.group, limit.name)), limit in required) for limit in limits]


def broken(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts on broken limits."""
    return [verdict for verdict in verdicts if verdict.passed is False]


def _section(section: str, groups: object) -> dict[tuple[str, str], float]:
    _check(section, section, _SECTIONS)
    return {
        (group, name): _limit(f"{section}.{group}.{name}", group, name, limit)
        for group, limits in _table(section, groups).items()
        for name, limit in _table(f"{section}.{group}", limits).items()
    }


def _table(place: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadThresholds(f"{place}: {value!r} is not a table")
    return value


def _limit(place: str, group: str, name: str, limit: object) -> float:
    if isinstance(limit, dict):
        raise BadThresholds(f'{place}: put a group with a part in quotes, as in [default."viewers.missed"]')
    _check(place, group, _NAMES)
    _check(place, name, _NAMES[group])
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise BadThresholds(f"{place}: {limit!r} is not a number")
    return float(limit)


def _check(place: str, name: str, known: Collection[str]) -> None:
    """Reject a name that is not known, with the most similar one, or with all."""
    if name not in known:
        similar = difflib.get_close_matches(name, known, 1, 0.75)
        hint = f"did you mean {similar[0]!r}?" if similar else f"there are {', '.join(sorted(known))}"
        raise BadThresholds(f"{place}: {name!r} does not exist; {hint}")


def _text(name: str, value: float) -> str:
    if name in _SHARES:
        return f"{value:.2%}"
    return f"{value:.1f} ms" if name.endswith("_ms") else f"{value:.2f}"
