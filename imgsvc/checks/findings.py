"""What a check finds, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. Only problems make the doctor fail."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found: one sentence, and one that says what to do."""

    check: str
    level: Level
    text: str
    advice: str = ""


def good(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, Level.GOOD, text)


def note(check: str, text: str, advice: str = "") -> Finding:
    """Worth knowing."""
    return Finding(check, Level.NOTE, text, advice)


def warning(check: str, text: str, advice: str) -> Finding:
    """It will become a problem, or is one for some."""
    return Finding(check, Level.WARNING, text, advice)


def problem(check: str, text: str, advice: str) -> Finding:
    """It does not work, or is not safe."""
    return Finding(check, Level.PROBLEM, text, advice)
