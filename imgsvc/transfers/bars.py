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

    def say(self, text: str) -> None:
        """Print a line for people above the bar."""

    def out(self, text: str) -> None:
        """Print a line to stdout, above the bar if that is the same terminal."""


class NoBar:
    """A bar that nobody sees."""

    def sent(self, source: Source, number: int) -> None:
        """See Bar."""

    def ended(self, source: Source, *, well: bool) -> None:
        """See Bar."""

    def say(self, text: str) -> None:
        """See Bar."""
        click.echo(text, err=True)

    def out(self, text: str) -> None:
        """See Bar."""
        click.echo(text)


class _Terminal:
    """A bar of rich."""

    def __init__(self, verb: str, files: int, size: int) -> None:
        from rich.console import Console  # noqa: PLC0415  # takes a moment, and only terminals need it
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        columns = (
            TextColumn(verb + " {task.fields[done]:,}{task.fields[all]}{task.fields[failed]}"),
            *(BarColumn(), DownloadColumn(), TimeRemainingColumn()),
        )
        self.progress = Progress(*columns, console=Console(stderr=True), redirect_stdout=False)
        self._task = self.progress.add_task(
            "", total=size or None, done=0, all=f" of {files:,}" * bool(files), failed=""
        )
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

    def say(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def out(self, text: str) -> None:
        if sys.stdout.isatty():
            self.say(text)
        else:
            click.echo(text)

    def _draw(self) -> None:
        failed = f", {self._failed:,} failed" if self._failed else ""
        completed = self._arrived + sum(self._on_the_way.values())
        self.progress.update(self._task, completed=completed, done=self._done, failed=failed)


@contextmanager
def bar(verb: str, files: int = 0, size: int = 0) -> Iterator[Bar]:
    """A bar for so many files with so many bytes (0: unknown), if somebody can see it."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield NoBar()
        return
    terminal = _Terminal(verb, files, size)
    with terminal.progress:
        yield terminal
