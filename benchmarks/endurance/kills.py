"""Renderers that die at work: each costs one request, which is told so, and another renderer takes the place."""

import argparse
import asyncio
import itertools
import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from benchmarks.endurance import photos
from benchmarks.endurance.client import BUSY, OK, Answer, Client, by_status, until
from benchmarks.endurance.figures import at_least, at_most, shown
from benchmarks.endurance.service import renderers_again, started
from benchmarks.figures import Figure
from tests.servers import Served

_CLIENTS = 8
_FILES = 240
_WORK = ".png?blur=4&thumb=1200"
_SIGNALS = (signal.SIGKILL, signal.SIGSEGV)
_BUSY_TICKS = 3
"""Processor time, in ticks of 10 ms, by which a process has begun to work."""
_RECOVERY = 1.0
"""Seconds."""
_BETWEEN = 6
"""Answers from one kill to the next: most are to be good, or there would be no work to disturb."""
_GONE = (FileNotFoundError, ProcessLookupError)


def options(parser: argparse.ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("--kills", type=int, default=100, help="renderers that are killed (100)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All figures."""
    files = list(photos.distinct(photos.of_size(3, ("jpg", "png", "webp", "tiff"), 24), _FILES))
    async with started(RESULT_CACHE_BYTES="0") as service, Client(service.url) as client:
        print(f"uploading {len(files)} files", flush=True)
        round_ = _Round([await client.upload(body) for body in files])
        renderers = len(service.renderers())
        over = asyncio.Event()
        work = asyncio.create_task(client.closed(until(over, round_.paths()), _CLIENTS, round_.seen))
        recoveries = []
        for number in range(chosen.kills):
            killed = await _kill(service, _SIGNALS[number % len(_SIGNALS)])
            started_at = time.perf_counter()
            await renderers_again(service, renderers, without=killed)
            recoveries.append(time.perf_counter() - started_at)
            await round_.answers(_BETWEEN)
        over.set()
        answers = await work
        after = await renderers_again(service, renderers)
        calm = await client.closed([f"{image}.jpg?thumb=64" for image in round_.images], _CLIENTS)
        return [
            *_figures(chosen.kills, answers, calm),
            at_least("renderers after", after, renderers),
            at_most(
                "a new renderer is there after",
                max(recoveries),
                _RECOVERY,
                " s",
                f"median {statistics.median(recoveries):.2f}",
            ),
        ]


class _Round:
    """Images in turn, without those that a kill has met: what crashes twice is refused, as it is to be."""

    def __init__(self, images: list[str]) -> None:
        self.images = list(images)
        self._answered = asyncio.Semaphore(0)

    def paths(self) -> Iterator[str]:
        """Each different from the others that are under way."""
        for number in itertools.count():
            yield self.images[number % len(self.images)] + _WORK

    def seen(self, answer: Answer) -> None:
        """Count it, and leave out the image of a request that failed."""
        self._answered.release()
        if answer.status != OK:
            with suppress(ValueError):
                self.images.remove(answer.path.removesuffix(_WORK))

    async def answers(self, count: int) -> None:
        """Wait for so many that were not waited for yet."""
        for _ in range(count):
            await self._answered.acquire()


async def _kill(service: Served, signum: signal.Signals) -> int:
    """Kill a renderer that is in the middle of its work; its process id."""
    while True:
        before = {pid: _ticks(pid) for pid in service.renderers()}
        for _ in range(40):
            await asyncio.sleep(0.005)
            busy = next((pid for pid, ticks in before.items() if _ticks(pid) - ticks >= _BUSY_TICKS), None)
            if busy:
                with suppress(ProcessLookupError):
                    os.kill(busy, signum)
                    return busy


def _ticks(pid: int) -> int:
    with suppress(*_GONE):
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return 0


def _figures(kills: int, answers: list[Answer], calm: list[Answer]) -> list[Figure]:
    failed = [a for a in answers if a.status != OK]
    other = [a for a in failed if a.status != BUSY or a.content_type != "application/problem+json"]
    other += [a for a in calm if a.status != OK]
    for answer in other[:10]:
        print(f"  {answer.path}: {answer.status} after {answer.seconds:.1f} s: {answer.said[:200]}")
    return [
        shown("answers", by_status(answers)),
        at_most("requests that failed", len(failed), kills, seen=f"{kills} kills"),
        at_most("failures that are no 503 as problem+json", len(other), 0, seen=by_status(other)),
    ]
