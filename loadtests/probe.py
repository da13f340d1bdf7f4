"""How long a hit takes for a client that is not busy: in a process of its own.

Locust's one thread serves all its users, and an answer waits for it; under load that is most of what it measures of a
hit. This probe requests one cached thumbnail at a time, fifty times a second. A slow answer does not change its
schedule: requests that become due meanwhile follow at once, and count from when they were due, as other clients would
have waited. As root it has real-time priority. Otherwise, on one machine with everything else, it would also measure
its own wait for a core, which clients elsewhere do not have.
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
from loadtests.corpus import Entry
from loadtests.ledger import HIT, MISS, PROBE_MISSES, PROBED, STALE, Key, Ledger
from measuring.client import is_refusal
from measuring.servers import ROOT

_EVERY = 0.02
_CONNECTIONS = 16
"""In turn, so that each rests for 320 ms, as visitors' do: longer than a thread of Varnish lingers on it."""
_SECONDS = 10
_STOP_SECONDS = 15


@contextmanager
def running(url: str, entry: Entry, file: Path, into: Ledger) -> Iterator[None]:
    """Probe during the `with` block, and add the counts to `into`."""
    process = subprocess.Popen([sys.executable, "-m", "loadtests.probe", url, hits.path(entry), str(file)], cwd=ROOT)
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
    with suppress(_Over):
        due = time.perf_counter()
        for connection in itertools.cycle(connections):
            due = _wait(due)
            status, headers = _ask(connection, path)
            note(ledger, status, headers, (time.perf_counter() - due) * 1000)
            due += _EVERY
    return ledger


def _wait(due: float) -> float:
    """Wait; returns when the request counts from. After a wait, that is when this process woke up."""
    rest = due - time.perf_counter()
    if rest <= 0:
        return due
    time.sleep(rest)
    return time.perf_counter()  # the service is not responsible for a late wake-up


def note(ledger: Ledger, status: int, headers: Mapping[str, str], milliseconds: float) -> None:
    """Count an answer. Misses are counted separately, and answers without a cache not at all."""
    cache, second = headers.get("X-Cache"), int(time.time())
    tally = ledger.tally(Key(second, PROBED, HIT))
    if is_refusal(status, headers):
        tally.refused += 1
    elif status != http.HTTPStatus.OK:
        tally.failed += 1
    elif cache in (HIT, STALE):
        tally.note(milliseconds)
    elif cache == MISS:
        ledger.tally(Key(second, PROBE_MISSES, MISS)).note(milliseconds)


def _ask(connection: http.client.HTTPConnection, path: str) -> tuple[int, Mapping[str, str]]:
    """Status and headers; 0 without an answer."""
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0, {}
    return answer.status, answer.headers  # type: ignore[return-value]  # it has `get`


def _end(*_: object) -> None:
    raise _Over


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for locust; this ends after it
    with suppress(AttributeError, OSError):  # only root may, and only on Linux
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    Path(sys.argv[3]).write_text(json.dumps(_probe(sys.argv[1], sys.argv[2]).packed()))
