"""`imgsvc search`: the images that some words describe."""

from typing import Any

import click

from imgsvc.commands.listing import filters, show
from imgsvc.terminal.profiles import Service
from imgsvc.terminal.services import ServiceCommand, json_lines


@click.command("search", cls=ServiceCommand)
@click.argument("words", nargs=-1, required=True)
@filters
@click.option("--limit", type=click.IntRange(1), metavar="NUMBER", help="Stop after so many (default: all).")
@json_lines
def command(service: Service, words: tuple[str, ...], limit: int | None, *, in_json: bool, **given: Any) -> None:
    """List the images with these words in title, file name, alt text or tags, newest first.

    The last word may be the beginning of one.
    """
    show(service, " ".join(words), limit, in_json=in_json, given=given)
