"""Judges many files, in processes with the locked-down libvips of the services."""

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor

from tests.fidelity.corpus.verdict import Verdict, judge

_PROCESSES = 2
_WAITING = 16
"""Files in memory."""


def judges() -> ProcessPoolExecutor:
    """The processes."""
    return ProcessPoolExecutor(_PROCESSES, mp_context=multiprocessing.get_context("spawn"), initializer=_start)


def judged(pool: ProcessPoolExecutor, files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, Verdict]]:
    """The verdict on each file, by whatever names it."""
    waiting: list[tuple[str, Future[Verdict]]] = []
    for name, body in files:
        waiting.append((name, pool.submit(judge, body)))
        if len(waiting) > _WAITING:
            first, future = waiting.pop(0)
            yield first, future.result()
    for name, future in waiting:
        yield name, future.result()


def _start() -> None:
    os.environ["VIPS_CONCURRENCY"] = "1"
    from imaging.pixels import vips  # noqa: PLC0415  # in these processes only

    vips.lock_down()
