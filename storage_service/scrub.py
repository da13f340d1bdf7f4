"""The command `imgsvc scrub`, which is `python -m storage_service.scrub` in the container of the storage service."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TextIO

from pydantic import ByteSize, TypeAdapter, ValidationError

from service_kit.errors import CannotStart, ServiceError
from service_kit.observing.logging import configure_logging
from service_kit.settings import Bytes, read_settings
from storage_service.app import database_config
from storage_service.blobs import Blobs
from storage_service.metadata.base import create_store
from storage_service.scrubbing import Finding, Report, Scrubber, StoreUnusable
from storage_service.settings import StorageSettings

WELL, DAMAGED, USAGE, FAILED, INTERRUPTED = 0, 1, 2, 3, 130
DESCRIPTION = """\
Compare every stored blob with the SHA-256 and the size in its record, next to running services. Deletes nothing.
An image whose bytes have changed gets 502 until the same file is uploaded again, or its blob is restored and scrubbed.
"""
EPILOG = """\
exit code: 0 all blobs are whole; 1 some are corrupt, missing or unreadable; 2 wrong usage or settings; 3 the scrub
could not finish, since the database or the blob store does not respond; 130 interrupted. The settings are those of the
storage service.
"""
_RATE = "32MiB"
_DRAW_SECONDS, _LINE_SECONDS = 0.2, 10.0
_BAR = 30
_SHOWN = 20
"""Blobs without a record that the text names. JSON names more."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--rate",
        type=_rate,
        default=_rate(_RATE),
        metavar="BYTES",
        help=f"limit on the bytes read per second, such as 100MB; 0: none (default {_RATE})",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(options: argparse.Namespace) -> int:
    """Scrub, print what is found, and return the exit code."""
    try:
        (settings,) = read_settings(StorageSettings)
        configure_logging("ERROR", "text")
        return asyncio.run(_scrub(settings, options))
    except (CannotStart, ValueError) as error:
        for line in str(error).splitlines():
            print(f"imgsvc: {line}", file=sys.stderr)
        return USAGE
    except (ServiceError, StoreUnusable) as error:
        print(f"imgsvc: the scrub could not start: {error}", file=sys.stderr)
        return FAILED


def _rate(text: str) -> int:
    try:
        size: ByteSize = TypeAdapter(Bytes).validate_python(text)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate; write a number of bytes, such as 64MiB") from error
    return int(size)


async def _scrub(settings: StorageSettings, options: argparse.Namespace) -> int:
    if settings.blobs.startswith("memory:"):
        raise CannotStart("blobs in memory (BLOB_URL) belong to another process, and end with it; nothing to scrub")
    metadata, blobs = create_store(database_config(settings)), Blobs(settings.blobs, settings.blob_seconds)
    await metadata.open(beside=True)
    try:
        return await _run(Scrubber(metadata, blobs, options.rate), in_json=options.json)
    finally:
        await metadata.close()


async def _run(scrubber: Scrubber, *, in_json: bool) -> int:
    code, trouble = WELL, ""
    progress = Progress(scrubber, sys.stderr)
    try:
        async with progress.shown():
            await scrubber.run(progress.ignore if in_json else progress.print_finding)
    except (ServiceError, StoreUnusable) as error:
        code, trouble = FAILED, str(error)
    except asyncio.CancelledError:  # Ctrl-C
        code, trouble = INTERRUPTED, "interrupted"
    if not code and scrubber.report.damaged:
        code = DAMAGED
    print(json.dumps(_as_json(scrubber.report, trouble), indent=2) if in_json else _as_text(scrubber.report, trouble))
    return code


class Progress:
    """Shows how far a scrub is: a bar on a terminal, otherwise a line every ten seconds."""

    def __init__(self, scrubber: Scrubber, output: TextIO) -> None:
        self._scrubber = scrubber
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
            self._clear()

    def print_finding(self, finding: Finding) -> None:
        """Print a finding at once: a scrub may take all night."""
        self._clear()
        images = ", ".join(finding.images)
        print(f"{finding.damage}: {finding.path} ({finding.bytes} bytes), images: {images}", flush=True)

    def ignore(self, finding: Finding) -> None:
        """Wait for the report."""

    async def _show(self) -> None:
        while True:
            await asyncio.sleep(_DRAW_SECONDS if self._bar else _LINE_SECONDS)
            self._output.write(f"\r{self._drawn()}\x1b[K" if self._bar else f"{self._text()}\n")
            self._output.flush()

    def _drawn(self) -> str:
        full = int(_BAR * self._scrubber.share)
        return f"[{'#' * full}{'.' * (_BAR - full)}] {self._text()}"

    def _text(self) -> str:
        report, share = self._scrubber.report, self._scrubber.share
        passed = time.monotonic() - self._started
        left = f", {_duration(passed / share - passed)} left" if share > 0.01 else ""  # noqa: PLR2004
        return f"{share:.0%}, {report.blobs} blobs, {_size(report.bytes)}, {report.damaged} damaged{left}"

    def _clear(self) -> None:
        if self._bar:
            self._output.write("\r\x1b[K")
            self._output.flush()


def _as_text(report: Report, trouble: str) -> str:
    compared = f"compared {report.blobs} blobs ({_size(report.bytes)}) in {_duration(report.seconds)}"
    lines = [f"{compared}: {report.damaged} damaged, {report.repaired} repaired since the last scrub"]
    if report.damaged:
        lines.append("what to do about damaged blobs: docs/production.md, section Scrub")
    if report.orphans:
        lines.append(f"{report.orphans} blobs without a record, which the sweeper removes when they are old enough:")
        lines += [f"  {name}" for name in report.orphan_names[:_SHOWN]]
        lines += [f"  and {report.orphans - _SHOWN} more"] if report.orphans > _SHOWN else []
    if trouble:
        lines.append(f"not finished: {trouble}")
    return "\n".join(lines)


def _as_json(report: Report, trouble: str) -> dict[str, object]:
    return {**asdict(report), "trouble": trouble or None}


def _size(number: int) -> str:
    return ByteSize(number).human_readable(decimal=False)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and scrub. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage_service.scrub")
    add_options(parser)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
