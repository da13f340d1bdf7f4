"""The command `imgsvc scrub`, which is `python -m storage_service.scrub` in the container of the storage service."""

import argparse
from collections.abc import Sequence

from pydantic import ByteSize, TypeAdapter, ValidationError

from service_kit.leaving import leave
from service_kit.settings import Bytes
from storage_service.beside import Command, counted, duration, size
from storage_service.scrubbing import Finding, Report, Scrubber

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


def _rate(text: str) -> int:
    try:
        size: ByteSize = TypeAdapter(Bytes).validate_python(text)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate; write a number of bytes, such as 64MiB") from error
    return int(size)


def _progress(report: Report) -> str:
    return f"{counted(report.blobs, 'blob')}, {size(report.bytes)}, {report.damaged} damaged"


def _line(finding: Finding) -> str:
    return f"{finding.damage}: {finding.path} ({finding.bytes} bytes), images: {', '.join(finding.images)}"


def _summary(report: Report) -> list[str]:
    compared = f"compared {counted(report.blobs, 'blob')} ({size(report.bytes)}) in {duration(report.seconds)}"
    lines = [f"{compared}: {report.damaged} damaged, {report.repaired} marked as damaged that are whole again"]
    if report.damaged:
        lines.append("what to do about damaged blobs: docs/production.md, section Scrub")
    if report.orphans:
        orphans = counted(report.orphans, "blob")
        lines.append(f"{orphans} without a record, to be removed by the sweeper when old enough:")
        lines += [f"  {name}" for name in report.orphan_names[:_SHOWN]]
        lines += [f"  and {report.orphans - _SHOWN} more"] if report.orphans > _SHOWN else []
    return lines


run = Command(
    "scrub", Scrubber, progress=_progress, line=_line, summary=_summary, is_bad=lambda report: report.damaged > 0
).run
"""Scrub, print what is found, and return the exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and scrub. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage_service.scrub")
    add_options(parser)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    leave(main())
