"""CPU and memory of containers, locust and the machine during a run."""

import csv
import json
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from loadtests.stack import Stack
from measuring.processes import Tree

LOCUST, MACHINE = "locust", "this machine"
"""Parts that are not containers. Other programs on the machine distort figures, and show here."""
_CONTAINERS_EVERY, _PROCESSES_EVERY = 8, 2
"""Seconds. `docker stats` keeps a small machine busy for about 30 ms per container, which hits would notice."""
_CACHES = ("varnish", "redis")
_LEAST_BYTES = 100 * 1024**2
"""The least that growth is relative to: a tenth of nginx's 12 MiB is nothing."""
_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}


@dataclass(frozen=True, slots=True)
class Sample:
    """What a part used at some time."""

    second: float
    part: str
    cpu: float
    """In cores."""
    bytes: int


@dataclass
class Usage:
    """All samples of a run."""

    samples: list[Sample] = field(default_factory=list)

    def parts(self) -> list[str]:
        """The names of the parts."""
        return sorted({sample.part for sample in self.samples})

    def of(self, part: str, start: float = 0, end: float = float("inf")) -> list[Sample]:
        """The samples of a part in a span of time."""
        return [sample for sample in self.samples if sample.part == part and start <= sample.second < end]

    def cores(self, part: str, start: float, end: float) -> float | None:
        """The mean CPU of a part in a span of time."""
        found = [sample.cpu for sample in self.of(part, start, end)]
        return sum(found) / len(found) if found else None

    def write(self, path: Path) -> None:
        """Write everything as CSV."""
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["second", "part", "cores", "bytes"])
            rows.writerows([f"{s.second:.1f}", s.part, f"{s.cpu:.3f}", s.bytes] for s in self.samples)


@contextmanager
def watched(usage: Usage, pid: int, own: Stack | None) -> Iterator[None]:
    """Sample locust's processes and the containers of the own stack."""
    stop = threading.Event()
    loops = [threading.Thread(target=_sample_processes, args=(usage, Tree(pid), stop))]
    if own:
        loops.append(threading.Thread(target=_sample_containers, args=(usage, own, stop)))
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        stop.set()
        for loop in loops:
            loop.join()


def _sample_processes(usage: Usage, locust: Tree, stop: threading.Event) -> None:
    last_used, last_time = 0.0, time.time()
    psutil.cpu_percent()  # it counts from one call to the next
    while not stop.wait(_PROCESSES_EVERY):
        used, now = locust.cpu_seconds(), time.time()
        busy = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
        usage.samples.append(Sample(now, MACHINE, busy, psutil.virtual_memory().used))
        usage.samples.append(Sample(now, LOCUST, max(0.0, used - last_used) / (now - last_time), locust.resident()))
        last_used, last_time = used, now


def _sample_containers(usage: Usage, own: Stack, stop: threading.Event) -> None:
    command = [own.docker, "stats", "--no-stream", "--format", "{{json .}}", *own.containers]
    while not stop.wait(_CONTAINERS_EVERY):
        printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        usage.samples += [
            sample(time.time(), row) for row in rows if "--" not in row["CPUPerc"]
        ]  # that one is stopping


def sample(now: float, row: dict[str, Any]) -> Sample:
    """A line of `docker stats`. The part of `load_varnish_1` is `varnish 1`."""
    used = row["MemUsage"].partition(" / ")[0].strip()
    digits = used.rstrip("BKMGik")
    part = " ".join(row["Name"].replace("-", "_").split("_")[-2:])
    return Sample(now, part, float(row["CPUPerc"].rstrip("%")) / 100, int(float(digits) * _UNITS[used[len(digits) :]]))


def judged_by_growth(parts: Iterable[str]) -> list[str]:
    """Containers whose memory must not grow: all but the caches, which fill up to their limit."""
    return [part for part in parts if part not in (LOCUST, MACHINE) and part.partition(" ")[0] not in _CACHES]


def growth(samples: Sequence[Sample]) -> float | None:
    """The growth of memory from the second quarter of a run to the last; None for a few samples."""
    quarter = len(samples) // 4
    if not quarter:
        return None
    early = sum(sample.bytes for sample in samples[quarter : 2 * quarter]) / quarter
    late = sum(sample.bytes for sample in samples[-quarter:]) / quarter
    return (late - early) / max(early, _LEAST_BYTES)
