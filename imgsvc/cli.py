"""The command line: `imgsvc serve`, `explain` and the commands of the storage service."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from imgsvc import __version__
from service_kit.leaving import leave

_ADMINISTRATION = "storage_service.administration"
_COMMANDS = {
    "scrub": ("compare every stored blob with its record", "storage_service.scrub", "storage_service.scrub"),
    "check": (
        "look for images without their blob, and blobs without an image",
        "storage_service.check",
        "storage_service.check",
    ),
    "keys": ("make, list, revoke and rotate the keys of clients", "storage_service.keys", _ADMINISTRATION),
    "spaces": ("list spaces and set their quotas", "storage_service.spaces", _ADMINISTRATION),
    "audit": ("show who changed what", "storage_service.trail", _ADMINISTRATION),
    "jobs": ("show what is done when nobody waits, and what failed", "storage_service.backlog", _ADMINISTRATION),
    "usage": ("show what viewers request most", "storage_service.demand", _ADMINISTRATION),
    "precompute": ("render chains before anyone asks", "imgsvc.precompute", _ADMINISTRATION),
    "webhooks": ("tell others about changes of images", "storage_service.webhooks", _ADMINISTRATION),
    "sign": ("sign the URL of a picture", "storage_service.sign", "storage_service.sign"),
}
"""Commands that use the database: what they do, and the modules with `add_options` and with `run`. Importing one takes
a second, so only the one that is named is imported."""


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
    for name, (summary, options_of, run_of) in _COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        if name in arguments:
            import_module(options_of).add_options(command)
            command.set_defaults(run=import_module(run_of).run)
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
