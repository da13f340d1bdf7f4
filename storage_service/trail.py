"""The command `imgsvc audit`, which is `python -m storage_service.trail` in the container of the storage service."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC

from service_kit.leaving import leave
from storage_service import administration
from storage_service.administration import Office, exit_codes, print_table
from storage_service.http.audits import AuditEntries, AuditEntry

DESCRIPTION = """\
Show who uploaded, changed, deleted and signed what, newest first. Only what is done with a key, or on the command line
(`cli`), leaves a trace; the oldest entries are removed (AUDIT_ENTRIES).
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description, parser.epilog = DESCRIPTION, exit_codes()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--key", metavar="ID", help="only what was done with this key")
    parser.add_argument("--subject", metavar="ID", help="only what was done to this image, key, token or space")
    parser.add_argument(
        "--limit", type=int, default=100, metavar="NUMBER", help="how many entries to show at most (default 100)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(act=_show)


async def _show(office: Office, options: argparse.Namespace) -> None:
    found = await office.audit.newest(max(1, options.limit), options.key, options.subject)
    if options.json:
        print(AuditEntries(entries=[AuditEntry.of(entry) for entry in found]).model_dump_json(indent=2))
        return
    if not found:
        print("no entries match", file=sys.stderr)
        return
    headings = ("TIME", "KEY", "ACTION", "SUBJECT", "SPACE", "REQUEST")
    print_table(
        [
            headings,
            *(
                (
                    f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
                    entry.key_id,
                    entry.action,
                    entry.subject,
                    entry.space,
                    entry.request_id,
                )
                for entry in found
            ),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run the command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage_service.trail")
    add_options(parser)
    return administration.run(parser.parse_args(arguments))


if __name__ == "__main__":
    leave(main())
