"""The command `imgsvc keys`, which is `python -m storage_service.keys` in the container of the storage service."""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from service_kit.access import Scope
from service_kit.durations import duration, lifetime
from service_kit.leaving import leave
from storage_service import administration
from storage_service.administration import Office, exit_codes, print_table
from storage_service.http.keys import CreatedKey, Key, Keys
from storage_service.keyring import NewKey
from storage_service.metadata.base import KeyRecord

DESCRIPTION = """\
Make, list, revoke and rotate the keys of clients, next to running services. A key is shown once, when it is made.
"""
EPILOG = f"""\
scopes: {", ".join(Scope)}; `admin` includes all others. A revoked key is refused everywhere within 5 s.

A key with the scope `sign` has a signing secret too, which is shown with it: see `imgsvc sign --help`.

{exit_codes("1 the key does not exist; ")}
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = commands.add_parser("create", help="make a key, and show it")
    create.add_argument("name", help="whose key it is, such as `web shop`")
    create.add_argument(
        "--scope",
        action="append",
        required=True,
        choices=[scope.value for scope in Scope],
        dest="scopes",
        help="what it allows; repeatable",
    )
    create.add_argument(
        "--expires", type=lifetime, metavar="TIME", help="when it stops working: 12h, 30d; default never"
    )
    create.add_argument("--space", metavar="NAME", help="the only space that it may use; default all")
    create.set_defaults(act=_create)
    listed = commands.add_parser("list", help="show all keys, without their secrets")
    listed.set_defaults(act=_list)
    revoke = commands.add_parser("revoke", help="make a key stop working")
    revoke.add_argument("key_id", metavar="ID", help="as `imgsvc keys list` shows it")
    revoke.set_defaults(act=_revoke)
    rotate = commands.add_parser("rotate", help="make a key that takes the place of another one")
    rotate.add_argument("key_id", metavar="ID", help="as `imgsvc keys list` shows it")
    rotate.add_argument(
        "--overlap", type=duration, default=duration("1d"), metavar="TIME", help="how long both work (default 1d)"
    )
    rotate.set_defaults(act=_rotate)
    for command in (create, listed, revoke, rotate):
        command.add_argument("--json", action="store_true", help="print JSON")


async def _create(office: Office, options: argparse.Namespace) -> None:
    expires_at = datetime.now(UTC) + options.expires if options.expires else None
    _show_new(await office.keyring.create(options.name, options.scopes, expires_at, options.space), options)


async def _rotate(office: Office, options: argparse.Namespace) -> None:
    _show_new(await office.keyring.rotate(options.key_id, options.overlap), options)


async def _revoke(office: Office, options: argparse.Namespace) -> None:
    await office.keyring.revoke(options.key_id)
    print(json.dumps({"revoked": options.key_id}) if options.json else f"revoked {options.key_id}")


async def _list(office: Office, options: argparse.Namespace) -> None:
    found = await office.keyring.all()
    if options.json:
        print(Keys(keys=[Key.of(record) for record in found]).model_dump_json(indent=2))
        return
    print_table(
        [
            ("ID", "NAME", "SCOPES", "SPACE", "MADE", "LAST USED", "STATE"),
            *(_row(record) for record in found),
        ]
    )


def _row(record: KeyRecord) -> tuple[str, ...]:
    return (
        record.key_id,
        record.name,
        record.scopes.replace(" ", ","),
        record.space or "all",
        _minute(record.created_at),
        _minute(record.used_at) if record.used_at else "never",
        _state(record),
    )


def _state(record: KeyRecord) -> str:
    if record.revoked_at:
        return f"revoked {_minute(record.revoked_at)}"
    if record.expires_at is None:
        return "works"
    return f"{'expired' if record.expires_at <= datetime.now(UTC) else 'until'} {_minute(record.expires_at)}"


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _show_new(new: NewKey, options: argparse.Namespace) -> None:
    if options.json:
        print(CreatedKey.of_new(new).model_dump_json(indent=2))
        return
    print(new.key)
    if new.signing_secret:
        print(new.signing_secret)
        print("The first line is the key, the second its signing secret (imgsvc sign --help).", file=sys.stderr)
    what = "they are" if new.signing_secret else "it is"
    print(f"This is the only time that {what} shown.", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run the command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage_service.keys")
    add_options(parser)
    return administration.run(parser.parse_args(arguments))


if __name__ == "__main__":
    leave(main())
