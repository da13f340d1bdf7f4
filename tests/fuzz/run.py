"""Sends cases to a real service, and stops at the first that breaks it."""

import re
import socket
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests import servers
from tests.fuzz.cases import Case, case
from tests.hostile.targets import Target, embedded, logged_errors, wait_until_idle

_EXPECTED = {502, 503, 504, 507}
"""Errors that are not the service's own."""
_CASE_SECONDS = 20.0
_CRASHED = b"ended unexpectedly"
_GROWTH = 96 * 1024**2
"""Bytes that caches and allocators may gain after the warm-up."""
_GROWTH_OF_FILES = 16
SETTINGS = {
    "UPLOAD_STALL_SECONDS": "0.5",
    "HEADER_SECONDS": "0.5",
    "REMOTE_SECONDS": "0.5",
    "LOG_LEVEL": "WARNING",
    "RESULT_CACHE_BYTES": "8MiB",
    "RENDERER_JOBS": "100000",
}


class Broken(Exception):
    """A case broke the service."""


@dataclass(slots=True)
class Report:
    """What the cases did."""

    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    crashes: list[Path] = field(default_factory=list)
    """Saved cases that crashed a worker, which is no failure: that is what workers are for."""
    grown: int = 0
    """Bytes that the process tree gained after the warm-up."""


def fuzz(seed: int, seconds: float, folder: Path, saved: Path) -> Report:
    """Send cases for some time. Raises Broken, with the case in `saved`."""
    report = Report()
    with embedded(folder, **SETTINGS) as (target, served):
        began = time.monotonic()
        before = None
        for number in count():
            passed = time.monotonic() - began
            if passed > seconds:
                break
            if before is None and passed > seconds / 3:
                before = _used(target, served)
            keeper = Keeper(saved, f"{seed}-{number}")
            send(case(seed, number), target, served, report, keeper)
        if before:
            _check_growth(before, _used(target, served), report)
        _check_log(served)
    return report


def replay(file: Path, folder: Path) -> Report:
    """Send one saved case. Raises Broken."""
    report = Report()
    with embedded(folder, **SETTINGS) as (target, served):
        send(Case.load(file.read_text()), target, served, report, Keeper(file.parent, file.stem))
        _check_log(served)
    return report


@dataclass(frozen=True, slots=True)
class Keeper:
    """Where to save a case, and under which name."""

    folder: Path
    name: str

    def keep(self, each: Case) -> str:
        """Save a case that broke the service, and say how to replay it."""
        file = self.write(each, "broken")
        return f"saved as {file}; replay it with `make fuzz REPLAY={file}`"

    def write(self, each: Case, kind: str) -> Path:
        """Save a case."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{kind}-{self.name}.json"
        file.write_text(each.saved())
        return file


def send(each: Case, target: Target, served: servers.Served, report: Report, keeper: Keeper) -> None:
    """Send a case. Raises Broken if it breaks the service."""
    report.cases += 1
    image_id = b"0" * 32
    began = time.monotonic()
    for request in each.requests:
        try:
            response = _exchange(target, request.replace(b"{id}", image_id).replace(b"{missing}", b"0" * 32))
        except OSError as error:
            ended = served.process.poll()
            state = "runs" if ended is None else f"ended with {ended}"
            raise Broken(f"{error!r}; the service {state}; {keeper.keep(each)}") from error
        status = int(response.split(maxsplit=2)[1]) if response.startswith(b"HTTP/") else 0
        report.statuses[status] += 1
        if served.process.poll() is not None:
            raise Broken(f"the service ended; {keeper.keep(each)}")
        if not (100 <= status < 500 or status in _EXPECTED):
            raise Broken(f"status {status}: {request[:200]!r}; {keeper.keep(each)}")
        if _CRASHED in response:
            report.crashes.append(keeper.write(each, "crash"))
        if found := re.search(rb"\r\nLocation: /v1/images/([0-9a-f]{32})", response):
            image_id = found[1]
    if time.monotonic() - began > _CASE_SECONDS:
        raise Broken(f"it took {time.monotonic() - began:.0f} s; {keeper.keep(each)}")


def _exchange(target: Target, request: bytes) -> bytes:
    """The beginning of the response to a request."""
    with socket.create_connection(("127.0.0.1", target.port), _CASE_SECONDS) as connection:
        with suppress(ConnectionError):
            connection.sendall(request)
        response = b""
        with suppress(ConnectionError):
            while received := connection.recv(65536):
                response += received if len(response) < 65536 else b""
        return response


def _used(target: Target, served: servers.Served) -> tuple[int, int]:
    """The memory of the process tree, and the descriptors of the service."""
    wait_until_idle(target)
    return served.memory(), len(list(Path(f"/proc/{target.pid}/fd").iterdir()))


def _check_growth(before: tuple[int, int], after: tuple[int, int], report: Report) -> None:
    report.grown = after[0] - before[0]
    if report.grown > _GROWTH:
        raise Broken(f"memory grew from {before[0]:,} to {after[0]:,} bytes")
    if after[1] - before[1] > _GROWTH_OF_FILES:
        raise Broken(f"descriptors grew from {before[1]} to {after[1]}")


def _check_log(served: servers.Served) -> None:
    if errors := logged_errors(served.log):
        raise Broken(f"an error in the log: {errors[0]}")
    text = served.log.read_text()
    if "Traceback" in text:
        raise Broken(f"a traceback in the log:\n{text[text.index('Traceback') :][:3000]}")
