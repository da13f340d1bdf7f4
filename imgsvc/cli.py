"""The command line: `imgsvc serve`, `explain`, `scrub`, `check`, `keys`, `spaces`, `audit` and `sign`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from imgsvc import __version__
from service_kit.leaving import leave


def run() -> NoReturn:
    """Run a command and exit."""
    leave(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="imgsvc", description="Store images and transform them on the fly.")
    parser.add_argument("--version", action="version", version=f"imgsvc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the whole service in one process tree")
    if "serve" in arguments:  # importing the service takes a second
        from imgsvc.serve import PROGRAM  # noqa: PLC0415

        serve.description = PROGRAM.description
        PROGRAM.add_options(serve)
        serve.set_defaults(run=PROGRAM.run)
    explain = commands.add_parser(
        "explain",
        help="show how a chain of operations would be run",
        description="Show how the service would run a chain on an image: steps, reading, memory, cost.",
        epilog="Example: imgsvc explain 'rotate=90&thumb=300' photo.jpg --format webp",
    )
    explain.add_argument("query", help="the operations, as they appear behind the ? of a URL")
    explain.add_argument("file", type=Path, help="the image")
    explain.add_argument("--format", metavar="EXT", help="the output format (default: the image's own)")
    explain.set_defaults(run=_explain)
    scrub = commands.add_parser("scrub", help="compare every stored blob with its record")
    if "scrub" in arguments:
        from storage_service.scrub import add_options, run  # noqa: PLC0415

        add_options(scrub)
        scrub.set_defaults(run=run)
    check = commands.add_parser("check", help="look for images without their blob, and blobs without an image")
    if "check" in arguments:
        from storage_service import check as checks  # noqa: PLC0415

        checks.add_options(check)
        check.set_defaults(run=checks.run)
    keys = commands.add_parser("keys", help="make, list, revoke and rotate the keys of clients")
    if "keys" in arguments:
        from storage_service import administration  # noqa: PLC0415
        from storage_service import keys as key_commands  # noqa: PLC0415

        key_commands.add_options(keys)
        keys.set_defaults(run=administration.run)
    spaces = commands.add_parser("spaces", help="list spaces and set their quotas")
    if "spaces" in arguments:
        from storage_service import administration  # noqa: PLC0415
        from storage_service import spaces as space_commands  # noqa: PLC0415

        space_commands.add_options(spaces)
        spaces.set_defaults(run=administration.run)
    audit = commands.add_parser("audit", help="show who changed what")
    if "audit" in arguments:
        from storage_service import administration, trail  # noqa: PLC0415

        trail.add_options(audit)
        audit.set_defaults(run=administration.run)
    sign = commands.add_parser("sign", help="sign the URL of a picture")
    if "sign" in arguments:
        from storage_service import sign as signatures  # noqa: PLC0415

        signatures.add_options(sign)
        sign.set_defaults(run=signatures.run)
    options = parser.parse_args(arguments)
    return int(options.run(options))


def _explain(options: argparse.Namespace) -> int:
    from service_kit.errors import CannotStart, ServiceError  # noqa: PLC0415
    from service_kit.settings import read_settings  # noqa: PLC0415
    from transform_service.explain import explain  # noqa: PLC0415
    from transform_service.settings import TransformSettings  # noqa: PLC0415

    try:
        (settings,) = read_settings(TransformSettings)
        print(explain(options.query.lstrip("?"), options.file, options.format, settings))
    except OSError as error:
        print(f"imgsvc: {options.file}: {error.strerror}", file=sys.stderr)
        return 1
    except (CannotStart, ServiceError, ValueError) as error:
        for line in str(error).splitlines():
            print(f"imgsvc: {line}", file=sys.stderr)
        return 1
    return 0
