"""What a process of the bare loop does. It imports little, since its memory is shown."""

import os
import time
from pathlib import Path

from benchmarks import product

BareJob = tuple[int, str, int, str, str]
"""Index, path, side, format, folder for output."""


def work(job: BareJob) -> tuple[int, float, int]:
    """Make a thumbnail; returns its index, seconds and bytes."""
    started, output = time.perf_counter(), _output(job)
    product.thumbnail(*job[1:4], output)
    return job[0], time.perf_counter() - started, output.stat().st_size


def fetched(job: BareJob) -> bytes:
    """Make a thumbnail; returns it."""
    work(job)
    return _output(job).read_bytes()


def _output(job: BareJob) -> Path:
    return Path(job[-1]) / f"bare-{os.getpid()}"
