"""Commands that look through everything that is stored, next to running services, and delete nothing."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Generic, Protocol, TextIO, TypeVar

from pydantic import ByteSize

from service_kit.errors import CannotStart, ServiceError
from service_kit.observing.logging import configure_logging
from service_kit.settings import read_settings
from storage_service.app import database_config
from storage_service.blobs import Blobs
from storage_service.metadata.base import MetadataStore, create_store
from storage_service.scrubbing import StoreUnusable
from storage_service.settings import StorageSettings

WELL, BAD, USAGE, FAILED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes."""
_DRAW_SECONDS, _LINE_SECONDS = 0.2, 10.0
_BAR = 30

Report = TypeVar("Report")
Finding = TypeVar("Finding")
Finding_co = TypeVar("Finding_co", covariant=True)


class Job(Protocol[Report, Finding_co]):
    """What a command does."""

    report: Report
    """What it has found so far, a dataclass."""
    share: float
    """How much of the work is done, from 0 to 1."""

    async def run(self, found: Callable[[Finding_co], None]) -> None:
        """Do everything, and call `found` for each finding. Raises ServiceError or StoreUnusable."""


@dataclass(frozen=True, slots=True)
class Command(Generic[Report, Finding]):
    """A command, and how it shows what it finds."""

    name: str
    start: Callable[[MetadataStore, Blobs, int], Job[Report, Finding]]
    """Makes a job from the two stores and the rate."""
    progress: Callable[[Report], str]
    line: Callable[[Finding], str]
    summary: Callable[[Report], list[str]]
    is_bad: Callable[[Report], bool]

    def run(self, options: argparse.Namespace) -> int:
        """Run the job, print what is found, and return the exit code."""
        try:
            (settings,) = read_settings(StorageSettings)
            configure_logging("ERROR", "text")
            return asyncio.run(self._run(settings, options))
        except (CannotStart, ValueError) as error:
            for line in str(error).splitlines():
                print(f"imgsvc: {line}", file=sys.stderr)
            return USAGE
        except (ServiceError, StoreUnusable) as error:
            print(f"imgsvc: the {self.name} could not start: {error}", file=sys.stderr)
            return FAILED

    async def _run(self, settings: StorageSettings, options: argparse.Namespace) -> int:
        if settings.blobs.startswith("memory:"):
            raise CannotStart(
                f"blobs in memory (BLOB_URL) belong to another process, and end with it; nothing to {self.name}"
            )
        metadata, blobs = create_store(database_config(settings)), Blobs(settings.blobs, settings.blob_seconds)
        await metadata.open(beside=True)
        try:
            return await self._show(self.start(metadata, blobs, options.rate), in_json=options.json)
        finally:
            await metadata.close()

    async def _show(self, job: Job[Report, Finding], *, in_json: bool) -> int:
        code, trouble = WELL, ""
        progress = _Progress(job, self.progress, sys.stderr)

        def found(finding: Finding) -> None:  # at once: the whole may take all night
            if not in_json:
                progress.clear()
                print(self.line(finding), flush=True)

        try:
            async with progress.shown():
                await job.run(found)
        except (ServiceError, StoreUnusable) as error:
            code, trouble = FAILED, str(error)
        except asyncio.CancelledError:  # Ctrl-C
            code, trouble = INTERRUPTED, "interrupted"
        if not code and self.is_bad(job.report):
            code = BAD
        if in_json:
            report: Any = job.report
            print(json.dumps({**asdict(report), "trouble": trouble or None}, indent=2))
        else:
            begin = [f"not finished: {trouble}"] if trouble else []
            print("\n".join([*begin, *self.summary(job.report)]))
        return code


class _Progress(Generic[Report, Finding]):
    """Shows how far a job is: a bar on a terminal, otherwise a line every ten seconds."""

    def __init__(self, job: Job[Report, Finding], text: Callable[[Report], str], output: TextIO) -> None:
        self._job = job
        self._describe = text
        self._output = output
        self._bar = output.isatty()
        self._started = time.monotonic()

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Show it while the context lasts."""
        task = asyncio.create_task(self._show())
        try:
            yield
        finally:
            task.cancel()
            self.clear()

    async def _show(self) -> None:
        while True:
            await asyncio.sleep(_DRAW_SECONDS if self._bar else _LINE_SECONDS)
            self._output.write(f"\r{self._drawn()}\x1b[K" if self._bar else f"{self._text()}\n")
            self._output.flush()

    def _drawn(self) -> str:
        full = int(_BAR * self._job.share)
        return f"[{'#' * full}{'.' * (_BAR - full)}] {self._text()}"

    def _text(self) -> str:
        share, passed = self._job.share, time.monotonic() - self._started
        left = f", {duration(passed / share - passed)} left" if share > 0.01 else ""  # noqa: PLR2004
        return f"{share:.0%}, {self._describe(self._job.report)}{left}"

    def clear(self) -> None:
        """Make room for a line."""
        if self._bar:
            self._output.write("\r\x1b[K")
            self._output.flush()


def size(number: int) -> str:
    """A number of bytes, for people."""
    return ByteSize(number).human_readable(decimal=False)


def counted(number: int, noun: str) -> str:
    """A number of things, for people."""
    return f"{number} {noun}{'s' * (number != 1)}"


def duration(seconds: float) -> str:
    """A number of seconds, for people."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
