"""CPU and memory of containers and of locust itself over time, sampled while a run lasts."""

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

LOCUST, MACHINE = "locust", "this machine"
"""Parts that are no containers. The machine: what others run on it spoils figures, and shows here."""
_EVERY = 8
"""Seconds between two looks at containers: each keeps a small machine busy for some 30 ms, which hits would feel."""
_CACHES = ("varnish", "redis")
_LEAST_BYTES = 100 * 1024**2
"""That growth is measured by: a tenth of the 12 MiB of nginx is nothing."""
_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}


@dataclass(frozen=True, slots=True)
class Sample:
    """What a part used at a time."""

    second: float
    part: str
    cpu: float
    """Cores: 1.0 is all of one."""
    bytes: int


@dataclass
class Usage:
    """All samples of a run."""

    samples: list[Sample] = field(default_factory=list)

    def parts(self) -> list[str]:
        """Names of what was sampled."""
        return sorted({sample.part for sample in self.samples})

    def of(self, part: str, start: float = 0, end: float = float("inf")) -> list[Sample]:
        """The samples of a part in a span of time."""
        return [sample for sample in self.samples if sample.part == part and start <= sample.second < end]

    def cores(self, part: str, start: float, end: float) -> float | None:
        """The mean use of a part."""
        found = [sample.cpu for sample in self.of(part, start, end)]
        return sum(found) / len(found) if found else None

    def write(self, path: Path) -> None:
        """As CSV."""
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["second", "part", "cores", "bytes"])
            rows.writerows([f"{s.second:.1f}", s.part, f"{s.cpu:.3f}", s.bytes] for s in self.samples)


@contextmanager
def watched(usage: Usage, process: psutil.Process, containers: Sequence[str], docker: Sequence[str]) -> Iterator[None]:
    """Sample a process tree, and these containers, as long as the context lasts. `docker`: the command."""
    stop = threading.Event()
    loops = [threading.Thread(target=_sample_process, args=(usage, process, stop))]
    if containers:
        loops.append(threading.Thread(target=_sample_containers, args=(usage, containers, docker, stop)))
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        stop.set()
        for loop in loops:
            loop.join()


def _sample_process(usage: Usage, process: psutil.Process, stop: threading.Event) -> None:
    last_cpu, last_time = 0.0, time.time()
    psutil.cpu_percent()  # it counts from one call to the next
    while not stop.wait(2):
        used = memory = 0.0
        try:
            for member in [process, *process.children(recursive=True)]:
                times = member.cpu_times()
                used, memory = used + times.user + times.system, memory + member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        now = time.time()
        busy = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
        usage.samples.append(Sample(now, MACHINE, busy, int(psutil.virtual_memory().used)))
        usage.samples.append(Sample(now, LOCUST, max(0.0, used - last_cpu) / (now - last_time), int(memory)))
        last_cpu, last_time = used, now


def _sample_containers(usage: Usage, ids: Sequence[str], docker: Sequence[str], stop: threading.Event) -> None:
    command = [*docker, "stats", "--no-stream", "--format", "{{json .}}", *ids]
    while not stop.wait(_EVERY):
        printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        now = time.time()
        rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        usage.samples.extend(sample(now, row) for row in rows if "--" not in row["CPUPerc"])  # that one just stops


def sample(now: float, row: dict[str, Any]) -> Sample:
    """A line of `docker stats`. Of `load_varnish_1`, the part is `varnish 1`."""
    used = row["MemUsage"].partition(" / ")[0].strip()
    digits = used.rstrip("BKMGik")
    unit = used[len(digits) :]
    part = " ".join(row["Name"].replace("-", "_").split("_")[-2:])
    return Sample(now, part, float(row["CPUPerc"].rstrip("%")) / 100, int(float(digits) * _UNITS[unit]))


def judged_by_growth(parts: Iterable[str]) -> list[str]:
    """Containers whose memory may not grow: all but the caches, which fill until they are as large as they may be."""
    return [part for part in parts if part not in (LOCUST, MACHINE) and part.partition(" ")[0] not in _CACHES]


def growth(samples: Sequence[Sample]) -> float | None:
    """Memory in the last quarter by that of the second quarter, less one; None of a few samples."""
    quarter = len(samples) // 4
    if not quarter:
        return None
    early = sum(sample.bytes for sample in samples[quarter : 2 * quarter]) / quarter
    late = sum(sample.bytes for sample in samples[-quarter:]) / quarter
    return (late - early) / max(early, _LEAST_BYTES)
