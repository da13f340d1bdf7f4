"""The command `imgsvc jobs`, which is `python -m storage_service.backlog` in the container of the storage service."""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from service_kit.leaving import leave
from storage_service import administration
from storage_service.administration import Office, exit_codes, print_table
from storage_service.jobs import Jobs

DESCRIPTION = """\
Show jobs, which are work for which nobody waits (such as making levels), and those that have failed for good, next to
running services.
"""
_SHOWN = 1000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their options."""
    parser.description, parser.epilog = DESCRIPTION, exit_codes()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    status = commands.add_parser(
        "status", help=f"show how many jobs wait, and why others have failed (newest {_SHOWN})"
    )
    status.set_defaults(act=_status)
    retry = commands.add_parser("retry", help="try all jobs again that have failed for good")
    retry.set_defaults(act=_retry)
    for command in (status, retry):
        command.add_argument("--json", action="store_true", help="print JSON")


async def _status(office: Office, options: argparse.Namespace) -> None:
    jobs = Jobs(office.metadata)
    waiting, _ = await jobs.waiting()
    number = await jobs.number_failed()
    found = [
        {
            "kind": kind,
            "sha256": sha256,
            "failed_at": datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds"),
            "reason": reason,
            "image_ids": await office.metadata.images_with(sha256, 1),
        }
        for kind, sha256, at, reason in await jobs.failed(_SHOWN)
    ]
    if options.json:
        print(json.dumps({"waiting": waiting, "failed": number, "failures": found}, indent=2))
        return
    print(f"{waiting} waiting, {number} failed")
    if found:
        rows = [(each["kind"], *(each["image_ids"] or ["-"]), each["failed_at"], each["reason"]) for each in found]
        print_table([("KIND", "IMAGE", "FAILED AT", "REASON"), *([str(cell) for cell in row] for row in rows)])


async def _retry(office: Office, options: argparse.Namespace) -> None:
    number = await Jobs(office.metadata).retry_failed()
    print(json.dumps({"retried": number}) if options.json else f"{number} jobs will be tried again")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run the command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage_service.backlog")
    add_options(parser)
    return administration.run(parser.parse_args(arguments))


if __name__ == "__main__":
    leave(main())
