"""Shows how far transfers are: a bar on a terminal, and nothing elsewhere."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click

from imgsvc.transfers.sources import Source


class Bar(Protocol):
    """What is told about transfers. `sent` may come from any thread."""

    def sent(self, source: Source, number: int) -> None:
        """So many bytes of the file were sent. They do not count as stored."""

    def ended(self, source: Source, *, well: bool) -> None:
        """The service has confirmed the image, or refused it."""

    def total(self, files: int, size: int) -> None:
        """How much there is to do."""

    def say(self, text: str) -> None:
        """Print a line above the bar."""


class NoBar:
    """A bar that nobody sees."""

    def sent(self, source: Source, number: int) -> None:
        """See Bar."""

    def ended(self, source: Source, *, well: bool) -> None:
        """See Bar."""

    def total(self, files: int, size: int) -> None:
        """See Bar."""

    def say(self, text: str) -> None:
        """See Bar."""
        click.echo(text, err=True)


class _Terminal:
    """A bar of rich."""

    def __init__(self, verb: str) -> None:
        from rich.console import Console  # noqa: PLC0415  # takes a moment, and only terminals need it
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        columns = (
            TextColumn(verb + " {task.fields[done]:,} of {task.fields[files]:,}{task.fields[failed]}"),
            *(BarColumn(), DownloadColumn(), TimeRemainingColumn()),
        )
        self.progress = Progress(*columns, console=Console(stderr=True))
        self._task = self.progress.add_task("", total=None, done=0, files=0, failed="")
        self._lock = threading.Lock()
        self._on_the_way: dict[str, int] = {}
        self._arrived = self._done = self._failed = 0

    def sent(self, source: Source, number: int) -> None:
        with self._lock:  # an attempt that is repeated begins at 0 again
            self._on_the_way[source.name] = min(number, source.size or 0)
            self._draw()

    def ended(self, source: Source, *, well: bool) -> None:
        with self._lock:
            self._on_the_way.pop(source.name, None)
            self._arrived += source.size or 0
            self._done += well
            self._failed += not well
            self._draw()

    def total(self, files: int, size: int) -> None:
        self.progress.update(self._task, total=size or None, files=files)

    def say(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _draw(self) -> None:
        failed = f", {self._failed:,} failed" if self._failed else ""
        completed = self._arrived + sum(self._on_the_way.values())
        self.progress.update(self._task, completed=completed, done=self._done, failed=failed)


@contextmanager
def bar(verb: str, *, wanted: bool = True) -> Iterator[Bar]:
    """A bar, if somebody can see it."""
    if not wanted or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield NoBar()
        return
    terminal = _Terminal(verb)
    with terminal.progress:
        yield terminal
