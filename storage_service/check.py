"""The command `imgsvc check`, which is `python -m storage_service.check` in the container of the storage service."""

import argparse
from collections.abc import Sequence

from service_kit.leaving import leave
from storage_service.beside import Command, counted, duration, size
from storage_service.checking import Checker, Finding, Report

DESCRIPTION = """\
Look for images without their blob, and blobs without an image, next to running services: after a restore, for example.
Compares names and sizes, and deletes nothing. `imgsvc scrub` compares the bytes.
"""
EPILOG = """\
exit code: 0 nothing is missing; 1 there are images without their blob, or blobs without an image; 2 wrong usage or
settings; 3 the check could not finish, since the database or the blob store does not respond; 130 interrupted. The
settings are those of the storage service.
"""
_RATE = 2000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--rate",
        type=_rate,
        default=_RATE,
        metavar="NUMBER",
        help=f"limit on the blobs and records compared per second; 0: none (default {_RATE})",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _rate(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate; write a number of blobs per second, such as 1000")
    return int(text)


def _progress(report: Report) -> str:
    return f"{counted(report.blobs, 'blob')}, {report.contents} with a record, {_faults(report)}"


def _faults(report: Report) -> str:
    return (
        f"{counted(report.without_blob, 'blob')} missing, {report.wrong_size} of wrong size,"
        f" {counted(report.without_record, 'blob')} without a record"
    )


def _line(finding: Finding) -> str:
    images = f", images: {', '.join(finding.images)}" if finding.images else ""
    return f"{finding.fault}: {finding.path} ({finding.bytes} bytes){images}"


def _summary(report: Report) -> list[str]:
    blobs, contents = counted(report.blobs, "blob"), counted(report.contents, "content")
    compared = f"compared {blobs} with {contents} in {duration(report.seconds)}"
    lines = [f"{compared}: {_faults(report)} ({size(report.without_record_bytes)})"]
    if report.findings:
        lines.append("what to do: docs/production.md, section Check")
    return lines


run = Command(
    "check",
    Checker,
    progress=_progress,
    line=_line,
    summary=_summary,
    is_bad=lambda report: report.without_blob + report.wrong_size + report.without_record > 0,
).run
"""Check, print what is found, and return the exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and check. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage_service.check")
    add_options(parser)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    leave(main())
