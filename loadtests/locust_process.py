"""Runs locust in a process of its own, because it patches the process that imports it."""

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
"""It yields to the service if both share cores: visitors elsewhere would not take any."""


class NothingMeasured(Exception):
    """The run has no figures; the text says why."""


def run(settings: Settings, url: str, options: Sequence[str], own: Stack | None, usage: Usage) -> ledger.Ledger:
    """Run locust; returns its counts, also after Ctrl-C."""
    command = [sys.executable, "-m", "locust", "-f", str(_HERE / "locustfile.py"), "-H", url, *_ALWAYS, *options]
    command += ["--html", str(settings.out / "locust.html"), "--csv", str(settings.out / "locust")]
    environment = {**os.environ, **settings.environment(), "PYTHONPATH": str(_HERE.parent), "VIPS_CONCURRENCY": "1"}
    log = settings.out / "locust.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=environment, stderr=errors, cwd=_HERE.parent)
        psutil.Process(process.pid).nice(_NICE)
        try:
            with watched(usage, process.pid, own):
                _wait(process)
        finally:
            process.terminate()  # if this program is ended itself
    path = settings.out / ledger.LEDGER
    counted = ledger.read(path) if path.exists() else ledger.Ledger()
    if not counted.tallies:
        last = log.read_text().strip().splitlines()[-1:]
        raise NothingMeasured(f"locust ended without any answers: {' '.join(last) or 'no message'}")
    return counted


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait()
    except KeyboardInterrupt:
        try:
            process.wait(_STOP_SECONDS)  # it received the same signal, and writes its counts
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise NothingMeasured(f"locust did not stop within {_STOP_SECONDS} s and has written no counts") from error
