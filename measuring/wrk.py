"""Requests per second by wrk, which costs a fraction of what a Python client costs."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from measuring.servers import CannotStart

_CONNECTIONS = 16


NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def _options(headers: Mapping[str, str]) -> list[str]:
    return [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]


class WrkFailed(CannotStart):
    """wrk is not installed, or got wrong answers."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What wrk measured for one URL."""

    rate: float
    """Answers per second."""
    p50: str
    p99: str
    requests: int = 0
    """Answers in total."""


def wrk(url: str, seconds: int, headers: Mapping[str, str] = NO_HEADERS) -> Rate:
    """Request a URL over 16 connections from one thread."""
    program = shutil.which("wrk")
    if not program:
        raise WrkFailed("wrk is not installed (Debian package wrk)")
    command = [program, "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "--latency", *_options(headers), url]
    printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    if not rate or "Non-2xx" in printed:
        raise WrkFailed(f"wrk failed: {' '.join(printed.strip().splitlines()[-1:])}")
    p50, p99 = (re.search(rf"^\s+{number}%\s+(\S+)", printed, re.MULTILINE) for number in (50, 99))
    total = re.search(r"^\s+(\d+) requests in", printed, re.MULTILINE)
    return Rate(float(rate[1]), p50[1] if p50 else "?", p99[1] if p99 else "?", requests=int(total[1]) if total else 0)
