"""`imgsvc explain`: how the service would run a chain on an image."""

from pathlib import Path

import click

from imgsvc.terminal.failures import Failure
from imgsvc.terminal.output import as_json
from imgsvc.terminal.services import json_option
from service_kit.errors import CannotStart, ServiceError
from service_kit.settings import read_settings
from transform_service.explain import LABEL, explain
from transform_service.settings import TransformSettings


@click.command(
    "explain",
    epilog="Example: imgsvc explain 'rotate=90&thumb=300' photo.jpg --format webp",
)
@click.argument("query")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "fmt", metavar="EXT", help="The output format (default: the image's own).")
@json_option
def command(query: str, file: Path, fmt: str | None, *, in_json: bool) -> None:
    """Show how the service would run a chain on an image: steps, reading, memory, cost.

    QUERY has the operations, as they appear behind the ? of a URL.
    """
    try:
        (settings,) = read_settings(TransformSettings)
        lines = explain(query.lstrip("?"), file, fmt, settings)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error
    except (CannotStart, ServiceError, ValueError) as error:
        raise Failure(str(error)) from error
    click.echo(as_json(dict(map(_named, lines.splitlines()))) if in_json else lines)


def _named(line: str) -> tuple[str, str]:
    label, text = line[:LABEL], line[LABEL:]
    return label.strip().replace(" ", "_"), text
