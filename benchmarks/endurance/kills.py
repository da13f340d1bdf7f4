"""Renderers that are killed while they work: each costs one request, and another renderer takes its place."""

import argparse
import asyncio
import itertools
import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil

from benchmarks.endurance.service import none_of, renderers_again, started, uploaded
from benchmarks.photos import distinct, of_size
from measuring.client import Answer, by_status, until
from measuring.figures import Figure, at_least, at_most
from measuring.servers import Served

_CLIENTS, _FILES = 8, 240
_WORK = ".png?blur=4&thumb=1200"
_SIGNALS = (signal.SIGKILL, signal.SIGSEGV)
_BUSY_SECONDS = 0.025
"""Processor time after which a renderer is in the middle of its work."""
_RECOVERY_SECONDS = 1.0
_BETWEEN = 6
"""Answers from one kill to the next. Most must be good, or there would be no work to disturb."""
_BUSY = 503


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--kills", type=int, default=100, help="renderers to kill (default: 100)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All figures."""
    files = distinct(of_size(3, ("jpg", "png", "webp", "tiff"), 24), _FILES)
    async with started(RESULT_CACHE_BYTES="0") as (service, client):
        print(f"uploading {_FILES} files", flush=True)
        work = _Work(await uploaded(client, files))
        renderers, recoveries, over = len(service.renderers()), [], asyncio.Event()
        load = asyncio.create_task(client.closed(until(over, work.paths()), _CLIENTS, work.seen))
        for number in range(chosen.kills):
            killed = await _kill(service, _SIGNALS[number % len(_SIGNALS)])
            killed_at = time.perf_counter()
            await renderers_again(service, renderers, without=killed)
            recoveries.append(time.perf_counter() - killed_at)
            await work.answers(_BETWEEN)
        over.set()
        answers = await load
        after = await renderers_again(service, renderers)
        calm = await client.closed([f"{image}.jpg?thumb=64" for image in work.images], _CLIENTS)
    failed = [a for a in answers if not a.ok]
    other = [a for a in failed if a.status != _BUSY or a.headers.get("Content-Type") != "application/problem+json"]
    median = f"median {statistics.median(recoveries):.2f}"
    return [
        Figure("answers", by_status(answers)),
        at_most("requests that failed", len(failed), chosen.kills, spread=f"{chosen.kills} kills"),
        none_of("failures other than 503 as problem+json", [*other, *(a for a in calm if not a.ok)]),
        at_least("renderers afterwards", after, renderers),
        at_most("a new renderer starts after", max(recoveries), _RECOVERY_SECONDS, " s", median),
    ]


class _Work:
    """Images in turn, without those that a kill has hit: an image that crashes a renderer twice is refused."""

    def __init__(self, images: list[str]) -> None:
        self.images = images
        self._answered = asyncio.Semaphore(0)

    def paths(self) -> Iterator[str]:
        """Requests that differ from the others in progress."""
        for number in itertools.count():
            yield self.images[number % len(self.images)] + _WORK

    def seen(self, answer: Answer) -> None:
        """Count an answer, and leave out the image of a request that failed."""
        self._answered.release()
        if not answer.ok:
            with suppress(ValueError):
                self.images.remove(answer.path.removesuffix(_WORK))

    async def answers(self, count: int) -> None:
        """Wait for so many more answers."""
        for _ in range(count):
            await self._answered.acquire()


async def _kill(service: Served, signum: signal.Signals) -> int:
    """Kill a renderer in the middle of its work; returns its process ID."""
    while True:
        before = {pid: _cpu_seconds(pid) for pid in service.renderers()}
        for _ in range(40):
            await asyncio.sleep(0.005)
            busy = next((pid for pid, used in before.items() if _cpu_seconds(pid) - used >= _BUSY_SECONDS), None)
            if busy:
                with suppress(ProcessLookupError):
                    os.kill(busy, signum)
                    return busy


def _cpu_seconds(pid: int) -> float:
    with suppress(psutil.Error):
        return float(sum(psutil.Process(pid).cpu_times()[:2]))
    return 0.0
