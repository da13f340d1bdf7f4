"""Runs examples against a real service, and measures what everybody else notices."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests import pictures, servers
from tests.hostile.examples import JPEG, MIB, NO_ANSWER, Example, Place
from tests.hostile.targets import cpu_seconds

_PAUSE = 0.05
_SECONDS = 20.0
"""For one file of an example."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an example did."""

    example: Example
    status: int
    seconds: float
    wait: float
    """The longest wait of a health check meanwhile, in milliseconds."""
    memory: int
    """The most bytes that the process tree used (Pss)."""
    cpu: float
    """The processor seconds that the service used, without its workers."""


def run(examples: Iterable[Example], folder: Path) -> Iterator[Outcome]:
    """Run each example, in one service for all that have the same settings."""
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(str(sorted(example.settings.items())), []).append(example)
    for number, group in enumerate(groups.values()):
        with servers.serve(folder / str(number), **group[0].settings) as served:
            yield from _run(group, served.url, served.memory, partial(cpu_seconds, served.process.pid))


def run_against(url: str, examples: Iterable[Example]) -> Iterator[Outcome]:
    """Run each example that needs no settings, against a running service. Its memory and processor time are unknown."""
    yield from _run([example for example in examples if not example.settings], url, lambda: 0, lambda: 0)


def _run(
    examples: Iterable[Example], url: str, memory: Callable[[], int], cpu: Callable[[], float]
) -> Iterator[Outcome]:
    place = Place(url)
    place.image_id, place.large_id = (asyncio.run(place.upload(body)) for body in (JPEG, pictures.of_size(4 * MIB)))
    with _polled(url) as longest_wait:
        for example in examples:
            place.files = example.files()
            longest_wait()
            with _watched(memory) as peak:
                began, before = time.monotonic(), cpu()
                status = asyncio.run(_attack(example, place))
                seconds, spent = time.monotonic() - began, cpu() - before
            yield Outcome(example, status, seconds, longest_wait(), peak[0], spent)


async def _attack(example: Example, place: Place) -> int:
    try:
        async with asyncio.timeout(_SECONDS * max(1, len(place.files))):
            return await example.attack(place)
    except TimeoutError:
        return NO_ANSWER


@contextmanager
def _polled(url: str) -> Iterator[Callable[[], float]]:
    """Poll a health check. Yields a function that returns the longest wait since its last call, in milliseconds."""
    command = [sys.executable, "-m", "tests.hostile.poll", url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=servers.ROOT
    ) as poller:
        assert poller.stdin
        assert poller.stdout
        ask, answers = poller.stdin, poller.stdout

        def longest() -> float:
            ask.write("\n")
            return float(answers.readline())

        yield longest
        poller.communicate()
        assert poller.returncode == 0


@contextmanager
def _watched(memory: Callable[[], int]) -> Iterator[list[int]]:
    """Sample the memory of the process tree. At the end, the list has the peak in bytes."""
    done, peak = threading.Event(), [memory()]

    def watch() -> None:
        while not done.wait(_PAUSE):
            peak[0] = max(peak[0], memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
