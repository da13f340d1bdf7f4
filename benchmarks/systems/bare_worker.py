"""One process of the bare libvips loop: thumbnails as fast as libvips makes them, no HTTP, no limits, no checks.

Usage: bare_worker FOLDER DESCRIPTOR. A line of JSON on standard input is a job; then indices of its paths are read
from the pipe DESCRIPTOR, which all workers share, until one says that there is no more. Answers with a line of JSON.
"""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from benchmarks.systems.encoders import encode
from imaging.pixels.colour import srgb
from imaging.pixels.vips import pyvips

INDEX_BYTES = 4
NO_MORE = 2**32 - 1


class BareJob(BaseModel):
    """Thumbnails to make of these files."""

    paths: list[str]
    format: str
    side: int


class BareOutcome(BaseModel):
    """What one worker did."""

    latencies: list[float]
    sizes: dict[int, int]
    """Bytes of the results by index."""


def work(job: BareJob, descriptor: int, output: Path) -> BareOutcome:
    """As many of the job's thumbnails as this worker gets."""
    outcome = BareOutcome(latencies=[], sizes={})
    for index in _indices(descriptor):
        started = time.perf_counter()
        thumbnail(job.paths[index], job.side, job.format, output)
        outcome.latencies.append(time.perf_counter() - started)
        outcome.sizes[index] = output.stat().st_size
    return outcome


def thumbnail(path: str, side: int, fmt: str, output: Path) -> None:
    """What `thumb=SIDE` asks libvips for: the same plan as the service's."""
    image = pyvips.Image.thumbnail(path, side, height=side, size="down", fail_on="error")
    encode(srgb(image), fmt, output)


def _indices(descriptor: int) -> Iterator[int]:
    while (index := int.from_bytes(os.read(descriptor, INDEX_BYTES))) != NO_MORE:
        yield index


def main() -> None:
    """Work until standard input ends."""
    pyvips.cache_set_max(0)
    output = Path(sys.argv[1]) / f"bare-{os.getpid()}"
    print(f"{output}", flush=True)
    for line in sys.stdin:
        print(work(BareJob.model_validate_json(line), int(sys.argv[2]), output).model_dump_json(), flush=True)


if __name__ == "__main__":
    main()
