"""Locust in a process of its own, watched until it ends."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from loadtests import ledger
from loadtests.containers import Usage, watched
from loadtests.settings import Settings
from loadtests.stack import Stack

_HERE = Path(__file__).parent
_ALWAYS = ("--loglevel", "WARNING", "--exit-code-on-error", "0", "--stop-timeout", "10", "--only-summary")
_STOP_SECONDS = 20
_NICE = 10
"""It yields to the service where both share a machine: what it takes from it, visitors elsewhere would not."""


class NothingMeasured(Exception):
    """Locust ended without counts."""


def run(settings: Settings, url: str, options: Sequence[str], own: Stack | None, usage: Usage) -> ledger.Ledger:
    """What came back. SIGINT ends locust, as its own end does; its counts are kept."""
    command = [sys.executable, "-m", "locust", "-f", str(_HERE / "locustfile.py"), "-H", url, *_ALWAYS, *options]
    command += ["--html", str(settings.out / "locust.html"), "--csv", str(settings.out / "locust")]
    environment = {**os.environ, **settings.environment(), "PYTHONPATH": str(_HERE.parent), "VIPS_CONCURRENCY": "1"}
    log = settings.out / "locust.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=environment, stderr=errors, cwd=_HERE.parent)
        psutil.Process(process.pid).nice(_NICE)
        containers, docker = (own.containers, [own.docker]) if own else ((), [])
        try:
            with watched(usage, psutil.Process(process.pid), containers, docker):
                _wait(process)
        finally:
            process.terminate()  # where this program is ended itself
    return _counted(settings.out, log)


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait()
    except KeyboardInterrupt:
        try:
            process.wait(_STOP_SECONDS)  # it got the same signal, and writes what it has
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise NothingMeasured(f"locust did not stop within {_STOP_SECONDS} s, and has kept no counts") from error


def _counted(folder: Path, log: Path) -> ledger.Ledger:
    path = folder / ledger.LEDGER
    counted = ledger.read(path) if path.exists() else ledger.Ledger()
    if not counted.tallies:
        last = log.read_text().strip().splitlines()[-1:]
        raise NothingMeasured(f"locust ended without one answer: {' '.join(last) or 'no message'}")
    return counted
