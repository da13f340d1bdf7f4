"""`imgsvc list`: the images of a service."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from imgsvc.terminal import output
from imgsvc.terminal.failures import complain
from imgsvc.terminal.profiles import Service
from imgsvc.terminal.services import ServiceCommand, json_lines

if TYPE_CHECKING:
    from imgsvc_client import Image

_HEADINGS = ("ID", "FORMAT", "SIZE", "BYTES", "STORED", "NAME")
_WIDTHS = (32, 6, 11, 7, 16, 0)
_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"])
_PAGE = 200


def filters(function: Any) -> Any:
    """The options that select images."""
    for option in reversed(
        (
            click.option("--tag", "tags", multiple=True, help="With this tag; repeatable: with all of them."),
            click.option("--format", metavar="FORMAT", help="Of this format, such as jpeg."),
            click.option("--visibility", type=click.Choice(["public", "private", "pending"]), help="Who may see them."),
            click.option("--colour", metavar="COLOUR", help="With much of a basic colour, such as orange."),
            click.option("--min-width", type=int, metavar="PIXELS", help="At least so many pixels wide."),
            click.option("--max-width", type=int, metavar="PIXELS", help="At most so many pixels wide."),
            click.option("--min-height", type=int, metavar="PIXELS", help="At least so many pixels high."),
            click.option("--max-height", type=int, metavar="PIXELS", help="At most so many pixels high."),
            click.option("--after", type=_MOMENT, help="Stored since this day or moment (UTC)."),
            click.option("--before", type=_MOMENT, help="Stored before this day or moment (UTC)."),
            click.option("--space", metavar="NAME", help="In this space."),
        )
    ):
        function = option(function)
    return function


@click.command("list", cls=ServiceCommand)
@filters
@click.option("--limit", type=click.IntRange(1), metavar="NUMBER", help="Stop after so many (default: all).")
@json_lines
def command(service: Service, limit: int | None, *, in_json: bool, **given: Any) -> None:
    """List images, newest first."""
    show(service, None, limit, in_json=in_json, given=given)


def show(service: Service, words: str | None, limit: int | None, *, in_json: bool, given: dict[str, Any]) -> None:
    """Print the images that fit, as they come."""
    with service.client() as client:
        found = client.images(words, page=min(limit or _PAGE, _PAGE), **named(service, given))
        print_images(islice(found, limit), in_json=in_json)


def named(service: Service, given: dict[str, Any]) -> dict[str, Any]:
    """The filters, as the client names them."""
    wanted = {name: value for name, value in given.items() if value not in (None, ())}
    for option, name in (("after", "created_after"), ("before", "created_before")):
        if option in wanted:
            wanted[name] = _utc(wanted.pop(option))
    if "tags" in wanted:
        wanted["tags"] = [*wanted["tags"]]
    return wanted if service.space is None else {"space": service.space} | wanted


def print_images(images: "Iterable[Image]", *, in_json: bool) -> None:
    """Print images, one per line, as they come."""
    if not in_json:
        if not output.rows(map(_row, images), _HEADINGS, _WIDTHS):
            complain("no images match")
        return
    for image in images:
        click.echo(output.as_json(output.facts(image)))


def _row(image: "Image") -> tuple[str, ...]:
    return (
        image.image_id,
        image.format,
        f"{image.width} x {image.height}",
        output.size(image.bytes),
        f"{image.created_at.astimezone(UTC):%Y-%m-%d %H:%M}",
        image.title or image.original_filename,
    )


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
