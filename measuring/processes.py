"""Processor time, memory and open files of a process and its descendants (psutil, Linux)."""

import multiprocessing
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

import psutil

T = TypeVar("T")
_SECONDS = 0.05
_WALK_EVERY = 5
"""Walking the tree costs more than reading its memory, and processes seldom start or end."""


class Tree:
    """Some processes and all their descendants. A process that ends during a reading counts as 0."""

    def __init__(self, *roots: int) -> None:
        self._roots = roots

    def processes(self) -> list[psutil.Process]:
        """The processes that are alive now."""
        found: list[psutil.Process] = []
        for root in self._roots:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(root)
                found += [process, *process.children(recursive=True)]
        return found

    def cpu_seconds(self) -> float:
        """Processor time so far, including that of children that have ended."""
        return self._total(lambda process: sum(process.cpu_times()[:4]))

    def resident(self) -> int:
        """Bytes, with shared pages counted in every process (RSS)."""
        return int(self._total(_resident))

    def proportional(self) -> int:
        """Bytes, with shared pages counted once (PSS)."""
        return int(self._total(_proportional))

    def descriptors(self) -> int:
        """Open files."""
        return int(self._total(lambda process: process.num_fds()))

    def highest(self) -> int:
        """The largest peak of resident memory of any one descendant, in bytes."""
        return max(
            (high_water(process.pid) for process in self.processes() if process.pid not in self._roots), default=0
        )

    def _total(self, of: Callable[[psutil.Process], float]) -> float:
        return _sum(self.processes(), of)


def high_water(pid: int | str = "self") -> int:
    """The peak of a process's resident memory in bytes; psutil does not have it."""
    with suppress(OSError):
        if match := re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()):
            return int(match[1]) * 1024
    return 0


def _resident(process: psutil.Process) -> float:
    return float(process.memory_info().rss)


def _proportional(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss)
    except psutil.AccessDenied:  # only root may read that of a sandboxed worker
        return _resident(process)


def _sum(processes: Sequence[psutil.Process], of: Callable[[psutil.Process], float]) -> float:
    total = 0.0
    for process in processes:
        with suppress(psutil.Error):
            total += of(process)
    return total


def in_a_process(function: Callable[..., T], *arguments: object, seconds: float = 600) -> T:
    """Call a function in a process of its own. Spawned: a fork of a process that has used libvips hangs."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply_async(function, arguments).get(seconds)


class Sampler:
    """Samples a tree in a thread while the `with` block runs. Its peaks are in bytes."""

    def __init__(self, tree: Tree, *, pss: bool = False) -> None:
        self._tree, self._pss = tree, pss
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.resident = self.proportional = self.one_process = 0

    def _watch(self) -> None:
        processes: list[psutil.Process] = []
        turn = 0
        while not self._stop.wait(_SECONDS):
            if turn % _WALK_EVERY == 0:
                processes = self._tree.processes()
                self._read_slowly()
            self.resident = max(self.resident, int(_sum(processes, _resident)))
            turn += 1

    def _read_slowly(self) -> None:
        self.one_process = max(self.one_process, self._tree.highest())
        if self._pss:
            self.proportional = max(self.proportional, self._tree.proportional())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.resident = max(self.resident, self._tree.resident())
        self._read_slowly()
