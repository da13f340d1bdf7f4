"""What a hit takes, as a client that is not busy sees it: a process of its own beside locust.

Locust's one thread serves all its users, and an answer waits in it until its turn comes; under load that is most of
what it measures of a hit. This one asks for one cached thumbnail at a time, fifty times a second, by a schedule that a
slow answer does not change: what is due meanwhile is asked for after it, and counts from when it was due, as others
would have waited. It has real-time priority where it may (root): on one machine with all the rest it would else measure
its own wait for a core, too, as no client elsewhere has it.
"""

import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from loadtests import hits
from loadtests.checks import REFUSALS
from loadtests.corpus import Entry
from loadtests.ledger import PROBE_MISSES, PROBED, Ledger
from loadtests.tallies import HIT, MISS, STALE, Key, bucket

_EVERY = 0.02
_CONNECTIONS = 16
"""In turn, so that each rests for 320 ms, as those of visitors do: longer than a thread of Varnish lingers on it."""
_SECONDS = 10
_STOP_SECONDS = 15

Headers = http.client.HTTPMessage | Mapping[str, str]


@contextmanager
def running(url: str, entry: Entry, file: Path, into: Ledger) -> Iterator[None]:
    """Probe as long as the context lasts, and add what came to `into`; nothing, where there is no Varnish."""
    command = [sys.executable, "-m", "loadtests.probe", url, hits.path(entry), str(file)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1])
    try:
        yield
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)
    if file.exists():
        into.add(json.loads(file.read_text()))


class _Over(Exception):
    pass


def _probe(url: str, path: str) -> Ledger:
    parts, ledger = urlsplit(url), Ledger()
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connections = [kind(parts.netloc, timeout=_SECONDS) for _ in range(_CONNECTIONS)]
    try:
        due = time.perf_counter()
        for connection in itertools.cycle(connections):
            due = _wait(due)
            status, headers = _ask(connection, path)
            note(ledger, status, headers, (time.perf_counter() - due) * 1000)
            due += _EVERY
    except _Over:
        return ledger
    raise AssertionError


def _wait(due: float) -> float:
    """Until then. From when a request counts: where it had to be waited for, when this process woke up."""
    rest = due - time.perf_counter()
    if rest <= 0:
        return due
    time.sleep(rest)
    return time.perf_counter()  # waking up late is not the service's


def note(ledger: Ledger, status: int, headers: Headers, milliseconds: float) -> None:
    """Count an answer; status 0 where none came. A miss is counted apart, and what no cache answers, not at all."""
    cache, second = headers.get("X-Cache"), int(time.time())
    tally = ledger.tally(Key(second, PROBED, HIT))
    if status in REFUSALS and headers.get("Retry-After"):
        tally.refused += 1
    elif status != http.HTTPStatus.OK:
        tally.failed += 1
    elif cache in (HIT, STALE):
        tally.latencies[bucket(milliseconds)] += 1
    elif cache == MISS:
        ledger.tally(Key(second, PROBE_MISSES, MISS)).latencies[bucket(milliseconds)] += 1


def _ask(connection: http.client.HTTPConnection, path: str) -> tuple[int, Headers]:
    """Status, 0 where none came, and headers."""
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0, {}
    return answer.status, answer.headers


def _end(*_: object) -> None:
    raise _Over


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for locust, at whose end this ends
    with suppress(AttributeError, OSError):  # not everywhere, nor for everybody
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    Path(sys.argv[3]).write_text(json.dumps(_probe(sys.argv[1], sys.argv[2]).packed()))
