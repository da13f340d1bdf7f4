"""The limits that a run must keep (thresholds.toml), and their verdicts."""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

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
_GROUPS = (PROBED, LATE, "all", *KINDS)
_SECTIONS = ("default", *plans.SHAPES)
_SHARES = {"error_share", "refused_share", "hit_ratio", "growth"}

Measured = Mapping[tuple[str, str], float | None]
"""Values by group and name, if the run has them."""


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
    if section not in _SECTIONS:
        _unknown(repr(section), _SECTIONS)
    if not isinstance(groups, dict):
        raise BadThresholds(f"{section}: {groups!r} is not a table of groups")
    merged = {}
    for group, values in groups.items():
        place = f"{section}.{group}"
        names = _names(place, group)
        if not isinstance(values, dict):
            raise BadThresholds(f"{place}: {values!r} is not a table of limits")
        for name, limit in values.items():
            merged[group, name] = _checked(f"{place}.{name}", names, name, limit)
    return merged


def _names(place: str, group: str) -> Collection[str]:
    """The values that a group has."""
    if group in _SPECIAL:
        return _SPECIAL[group]
    answers, dot, role = group.partition(".")
    if dot and role not in ROLES:
        _unknown(f"{place}: part {role!r}", ROLES)
    first, _, kind = answers.partition(" ")
    if answers not in _GROUPS and kind not in KINDS.get(first, ()):
        known = [f"{first} {kind}" for kind in KINDS[first]] if first in KINDS else [*_GROUPS, *_SPECIAL]
        _unknown(f"{place}: group {answers!r}", known)
    return AT_LEAST | AT_MOST


def _checked(place: str, names: Collection[str], name: str, limit: object) -> float:
    if isinstance(limit, dict):
        raise BadThresholds(f'{place}: put a group with a part in quotes, as in [default."viewers.missed"]')
    if name not in names:
        _unknown(f"{place}: {name!r}", sorted(names))
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise BadThresholds(f"{place}: {limit!r} is not a number")
    return float(limit)


def _unknown(what: str, known: Collection[str]) -> NoReturn:
    raise BadThresholds(f"{what} does not exist; there are {', '.join(known)}")


def _text(name: str, value: float) -> str:
    if name in _SHARES:
        return f"{value:.2%}"
    return f"{value:.1f} ms" if name.endswith("_ms") else f"{value:.2f}"
