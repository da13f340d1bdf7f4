"""Hits a second by wrk, which costs a fraction of what a Python client does: what locust cannot tell."""

import http.client
import re
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass

from loadtests.corpus import Entry
from loadtests.tallies import HIT

_SECONDS = 5
_ANSWER_SECONDS = 30
_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Hits:
    """What wrk measured of one cached URL."""

    path: str
    rate: float
    """Answers a second."""
    p50: str
    p99: str


def path(entry: Entry) -> str:
    """Of a thumbnail that is asked for again and again."""
    return f"/v1/images/{entry.image_id}.webp?thumb=300&compress=70"


def measure(url: str, entry: Entry) -> Hits | str:
    """A thumbnail, asked for again and again; or why it was not measured: the report of the load is written anyway."""
    wrk = shutil.which("wrk")
    if not wrk:
        return "wrk is not installed (Debian's package wrk)"
    try:
        if not _is_hit(url + path(entry)):
            return "the target has no Varnish: there are no hits"
        return _wrk(wrk, url, path(entry))
    except (OSError, http.client.HTTPException) as error:
        return f"the target did not answer after the load: {error}"
    except KeyboardInterrupt:
        return "it was interrupted"


def _is_hit(url: str) -> bool:
    """Whether the second of two answers is the cache's."""
    with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as first:
        first.read()
    with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as again:
        return bool(again.headers.get("X-Cache") == HIT)


def _wrk(wrk: str, url: str, asked: str) -> Hits | str:
    command = [wrk, "-t1", f"-c{_CONNECTIONS}", f"-d{_SECONDS}s", "--latency", url + asked]
    printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    if not rate or "Non-2xx" in printed:
        return f"wrk failed: {' '.join(printed.strip().splitlines()[-1:])}"
    return Hits(asked, float(rate[1]), _percentile(printed, 50), _percentile(printed, 99))


def _percentile(printed: str, number: int) -> str:
    found = re.search(rf"^\s+{number}%\s+(\S+)", printed, re.MULTILINE)
    return found[1] if found else "?"
