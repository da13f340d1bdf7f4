"""The command line."""

import argparse
import os
from collections.abc import Sequence

from imgsvc import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the result is the exit code."""
    options = _parser().parse_args(arguments)
    for name in ("host", "port", "data_dir"):
        if getattr(options, name) is not None:
            os.environ[name.upper()] = getattr(options, name)
    from imgsvc import serve  # noqa: PLC0415  # only when it is asked for: worker processes import this module too

    return serve.run()


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
    return parser
