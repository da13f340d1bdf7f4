"""What a tree of processes uses, read from /proc: processor time, resident and proportional memory."""

import os
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_GONE = (FileNotFoundError, ProcessLookupError)
_TIMES = slice(11, 15)
"""utime, stime, cutime and cstime, counted from the field after the name (proc(5))."""


class ProcessTree:
    """Processes and all their descendants."""

    def __init__(self, roots: Sequence[int]) -> None:
        self._roots = tuple(roots)

    def pids(self) -> list[int]:
        """Those that live now."""
        found, queue = [], list(self._roots)
        while queue:
            pid = queue.pop()
            found.append(pid)
            with suppress(*_GONE):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    queue += [int(child) for child in (task / "children").read_text().split()]
        return found

    def cpu_seconds(self) -> float:
        """Used so far, by children that ended too."""
        ticks = 0
        for pid in self.pids():
            with suppress(*_GONE):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[_TIMES]))
        return ticks / _TICK

    def high_water(self) -> int:
        """Bytes: the largest peak of resident memory that any one descendant of the roots has had."""
        peaks = [_status(pid, "VmHWM") for pid in self.pids() if pid not in self._roots]
        return max(peaks, default=0)


def resident(pids: Sequence[int]) -> int:
    """Bytes, pages shared between processes counted in each of them."""
    total = 0
    for pid in pids:
        with suppress(*_GONE):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return total * _PAGE


def proportional(pids: Sequence[int]) -> int:
    """Bytes, pages shared between processes counted once."""
    total = 0
    for pid in pids:
        with suppress(*_GONE):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += _kilobytes(rollup, "Pss") * 1024
    return total


def _status(pid: int, field: str) -> int:
    with suppress(*_GONE):
        return _kilobytes(Path(f"/proc/{pid}/status").read_text(), field) * 1024
    return 0


def _kilobytes(text: str, field: str) -> int:
    match = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) if match else 0


class MemorySampler:
    """Watches a tree while the `with` block runs; its peaks are bytes."""

    def __init__(self, tree: ProcessTree, seconds: float = 0.05, *, pss: bool = False) -> None:
        self._tree = tree
        self._seconds = seconds
        self._pss = pss
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_rss = 0
        self.peak_pss = 0
        self.peak_process = 0

    def _watch(self) -> None:
        turn = 0
        pids: list[int] = []
        while not self._stop.wait(self._seconds):
            if turn % 5 == 0:  # the walk costs more than the reading, and processes seldom come and go
                pids = self._tree.pids()
                self.peak_process = max(self.peak_process, self._tree.high_water())
                if self._pss:
                    self.peak_pss = max(self.peak_pss, proportional(pids))
            self.peak_rss = max(self.peak_rss, resident(pids))
            turn += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        pids = self._tree.pids()
        self.peak_rss = max(self.peak_rss, resident(pids))
        self.peak_pss = max(self.peak_pss, proportional(pids))
        self.peak_process = max(self.peak_process, self._tree.high_water())
