"""`imgsvc info`: all that is known about images."""

import click

from imgsvc.terminal import output
from imgsvc.terminal.profiles import Service
from imgsvc.terminal.services import ServiceCommand, json_lines
from imgsvc.transfers.naming import id_of


@click.command("info", cls=ServiceCommand)
@click.argument("images", nargs=-1, required=True, metavar="ID|URL...")
@json_lines
def command(service: Service, images: tuple[str, ...], *, in_json: bool) -> None:
    """Show all that is known about images: size, format, title, tags, metadata, who may see them."""
    ids = [id_of(service, image) for image in images]
    with service.client() as client:
        for number, image_id in enumerate(ids):
            facts = output.facts(client.info(image_id))
            if in_json:
                click.echo(output.as_json(facts))
                continue
            if number:
                click.echo()
            output.pairs(facts)
