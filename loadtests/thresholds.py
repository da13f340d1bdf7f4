"""What a run must keep (thresholds.toml), held against what was measured."""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests import plans
from loadtests.ledger import LATE, PROBED, ROLES

AT_LEAST = {"hit_ratio", "goodput"}
AT_MOST = {"p50_ms", "p95_ms", "p99_ms", "error_share", "refused_share"}
_OF_GROUPS = AT_LEAST | AT_MOST
SPIKE, MEMORY = "spike", "memory"
_SPECIAL = {SPIKE: {"p99_growth", "seconds_to_normal"}, MEMORY: {"growth"}}
"""What is no group of answers, and its values."""
KINDS = {
    "viewers": ("ladder", "square", "thumb", "original", "any width"),
    "uploaders": ("upload", "first look", "delete"),
    "api": ("info", "transform id", "transform file", "upload", "delete", "deleted"),
    "attackers": ("bad id", "parameter walk", "bomb", "broken"),
}
"""Requests of each group of visitors."""
_GROUPS = (PROBED, LATE, "all", *KINDS)
_SECTIONS = ("default", *plans.SHAPES)
_SHARES = {"error_share", "refused_share", "hit_ratio", "growth"}

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
    required: bool = False
    """The run must have a value: that there is none breaks the limit, too."""

    @property
    def passed(self) -> bool | None:
        """None where nothing was measured, and need not be."""
        if self.value is None:
            return False if self.required else None
        return self.threshold.holds(self.value)

    def __str__(self) -> str:
        """One line, as it is printed for a threshold that is broken."""
        name = self.threshold.name
        most = "at the least" if name in AT_LEAST else "at the most"
        value = "not measured" if self.value is None else _text(name, self.value)
        return f"{self.threshold.group}: {name} is {value}, {_text(name, self.threshold.limit)} {most}"


def load(path: Path, shape: str) -> list[Threshold]:
    """The limits of a shape. Those of all shapes are looked at: a misspelt one would never be judged.

    Raises:
        BadThresholds: the file cannot be read, or says what does not exist.

    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadThresholds(f"{path} cannot be read: {error}") from error
    sections = {section: _section(path, section, groups) for section, groups in tables.items()}
    merged = {**sections.get("default", {}), **sections.get(shape, {})}
    return [Threshold(group, name, limit) for (group, name), limit in merged.items()]


def judge(limits: Sequence[Threshold], measured: Measured, required: Collection[Threshold] = ()) -> list[Verdict]:
    """Every limit beside its value. `required`: those that nothing measured breaks."""
    return [Verdict(limit, measured.get((limit.group, limit.name)), limit in required) for limit in limits]


def broken(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Those that failed."""
    return [verdict for verdict in verdicts if verdict.passed is False]


def _section(path: Path, section: str, groups: object) -> dict[tuple[str, str], float]:
    if section not in _SECTIONS:
        raise BadThresholds(f"{path}: there is no section {section!r}; there are {', '.join(_SECTIONS)}")
    if not isinstance(groups, dict):
        raise BadThresholds(f"{path}: {section}: {groups!r} is no table of groups")
    merged = {}
    for group, values in groups.items():
        place = f"{section}.{group}"
        names = _names(path, place, group)
        if not isinstance(values, dict):
            raise BadThresholds(f"{path}: {place}: {values!r} is no table of limits")
        for name, limit in values.items():
            merged[group, name] = _checked(path, f"{place}.{name}", names, name, limit)
    return merged


def _names(path: Path, place: str, group: str) -> Collection[str]:
    """The values that a group has."""
    if group in _SPECIAL:
        return _SPECIAL[group]
    answers, dot, role = group.partition(".")
    if dot and role not in ROLES:
        raise BadThresholds(f"{path}: {place}: there is no role {role!r} of a group; there are {', '.join(ROLES)}")
    first, _, kind = answers.partition(" ")
    if answers not in _GROUPS and kind not in KINDS.get(first, ()):
        known = [f"{first} {kind}" for kind in KINDS[first]] if first in KINDS else [*_GROUPS, *_SPECIAL]
        raise BadThresholds(f"{path}: {place}: there is no group {answers!r}; there are {', '.join(known)}")
    return _OF_GROUPS


def _checked(path: Path, place: str, names: Collection[str], name: str, limit: object) -> float:
    if isinstance(limit, dict):
        raise BadThresholds(f'{path}: {place}: write a group with a role in quotes, as [default."viewers.missed"]')
    if name not in names:
        raise BadThresholds(f"{path}: {place}: there is no {name!r}; there are {', '.join(sorted(names))}")
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise BadThresholds(f"{path}: {place}: {limit!r} is no number")
    return float(limit)


def _text(name: str, value: float) -> str:
    if name in _SHARES:
        return f"{value:.2%}"
    return f"{value:.1f} ms" if name.endswith("_ms") else f"{value:.2f}"
