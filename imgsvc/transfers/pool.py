"""Several transfers at once, in threads, with results as they come."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_PER_THREAD = 2
"""Items that wait for each thread, so that none is idle and few are in memory."""


class Pool(Generic[Item, Result]):
    """Threads that do `work`. They end with the process, whatever they do then, so Ctrl-C need not wait."""

    def __init__(self, work: Callable[[Item], Result], threads: int) -> None:
        self._work = work
        self._threads = threads
        self._todo: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Item, Result | Exception]] = queue.SimpleQueue()

    def run(self, items: Iterable[Item]) -> Iterator[tuple[Item, Result | Exception]]:
        """Each item with what came out, in the order in which they end. Takes items as they are needed."""
        for _ in range(self._threads):
            threading.Thread(target=self._serve, daemon=True).start()
        waiting = 0
        try:
            for item in items:
                self._todo.put(item)
                waiting += 1
                while waiting >= self._threads * _PER_THREAD:
                    yield self._done.get()
                    waiting -= 1
            for _ in range(waiting):
                yield self._done.get()
        finally:
            for _ in range(self._threads):
                self._todo.put(None)

    def _serve(self) -> None:
        while (item := self._todo.get()) is not None:
            try:
                self._done.put((item, self._work(item)))
            except Exception as error:  # noqa: BLE001  # for the caller
                self._done.put((item, error))
