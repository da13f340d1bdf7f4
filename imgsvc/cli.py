"""The command line."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from imgsvc import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the result is the exit code."""
    options = _parser().parse_args(arguments)
    return int(options.run(options))


def _serve(options: argparse.Namespace) -> int:
    for name in ("host", "port", "data_dir"):
        if getattr(options, name) is not None:
            os.environ[name.upper()] = getattr(options, name)
    from imgsvc import serve  # noqa: PLC0415  # only when it is asked for: worker processes import this module too

    return serve.run()


def _explain(options: argparse.Namespace) -> int:
    from service_kit.errors import ServiceError  # noqa: PLC0415
    from transform_service.explain import explain  # noqa: PLC0415
    from transform_service.settings import TransformSettings  # noqa: PLC0415

    try:
        print(explain(options.query.lstrip("?"), options.file, options.format, TransformSettings()))
    except OSError as error:
        print(f"imgsvc: {options.file}: {error.strerror}", file=sys.stderr)
        return 1
    except (ServiceError, ValueError) as error:
        print(f"imgsvc: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="imgsvc", description="Stores images and transforms them on the fly.")
    parser.add_argument("--version", action="version", version=f"imgsvc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="run the whole service in one process tree",
        description="Run the whole service in one process tree: SQLite, blobs as files, results in memory.",
        epilog="Every other setting is an environment variable: see docs/configuration.md.",
    )
    serve.add_argument("--host", help="address to listen on (HOST, default 127.0.0.1)")
    serve.add_argument("--port", help="port to listen on, 0 takes a free one (PORT, default 8080)")
    serve.add_argument(
        "--data-dir", metavar="DIR", help="folder for the database and the images (DATA_DIR, default var)"
    )
    serve.set_defaults(run=_serve)
    explain = commands.add_parser(
        "explain",
        help="show what the planner makes of a chain of operations",
        description="Show what the planner makes of a chain for an image: steps before and after, reading, cost.",
        epilog="An example: imgsvc explain 'rotate=90&thumb=300' photo.jpg --format webp",
    )
    explain.add_argument("query", help="the operations, as they stand behind the ? of a URL")
    explain.add_argument("file", type=Path, help="the image")
    explain.add_argument("--format", metavar="EXT", help="the output format; by default the image's own")
    explain.set_defaults(run=_explain)
    return parser
