"""Times on the command line: a number and a unit, such as 12h or 30d."""

import argparse
import re
from datetime import timedelta

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> timedelta:
    """How long something lasts. Raises ArgumentTypeError for anything but a number and s, m, h or d."""
    match = re.fullmatch("([0-9]{1,6})([smhd])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; write a number and s, m, h or d, such as 30d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def lifetime(text: str) -> timedelta:
    """A duration that is not over at once."""
    found = duration(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is over at once; write a longer time, such as 30d")
    return found
