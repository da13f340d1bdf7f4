"""`imgsvc delete`: deletes images, with all their variants."""

import sys
from collections.abc import Iterator

import click
from imgsvc_client import ApiError, Client

from imgsvc.terminal.failures import DONE, FAILED, USAGE, Failure, complain, failure
from imgsvc.terminal.output import as_json, count
from imgsvc.terminal.profiles import Service
from imgsvc.terminal.services import ServiceCommand, json_lines
from imgsvc.transfers.naming import id_of

_GONE = 410
EPILOG = """\
\b
example:
  imgsvc search draft --json | jq -r .image_id | imgsvc delete - --yes

An image that was deleted before counts as deleted. The exit code is that of the only failure, or 1 if there are more.
"""


@click.command("delete", cls=ServiceCommand, epilog=EPILOG)
@click.argument("images", nargs=-1, required=True, metavar="ID|URL|-...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_lines
def command(service: Service, images: tuple[str, ...], *, yes: bool, in_json: bool) -> int:
    """Delete images, with all their variants. - reads IDs from stdin, one per line.

    From then on, requests for them are answered with 410, from all caches.
    """
    ids = [id_of(service, image) for image in _listed(images)]
    if not ids:
        raise Failure("stdin has no IDs", USAGE)
    if not yes:
        _ask(ids)
    codes = []
    with service.client() as client:
        for image_id in ids:
            try:
                done = _deleted(client, image_id)
                click.echo(as_json({"image_id": image_id, "deleted": done}) if in_json else f"{done} {image_id}")
            except Exception as error:  # noqa: BLE001  # `failure` raises what nobody has foreseen
                found = failure(error, service.url)
                codes.append(found.exit_code)
                complain(found.message)
                if in_json:
                    click.echo(as_json({"image_id": image_id, "error": found.message}))
    return (codes[0] if len(codes) == 1 == len(ids) else FAILED) if codes else DONE


def _deleted(client: Client, image_id: str) -> str:
    try:
        client.delete(image_id)
    except ApiError as error:
        if error.status != _GONE:
            raise
        return "deleted before"
    return "deleted"


def _listed(images: tuple[str, ...]) -> Iterator[str]:
    for image in images:
        if image == "-":
            yield from (line.strip() for line in sys.stdin if line.strip())
        else:
            yield image


def _ask(ids: list[str]) -> None:
    if not sys.stdin.isatty():
        raise Failure("deleting needs a confirmation, and stdin is not a terminal; use --yes", USAGE)
    what = ids[0] if len(ids) == 1 else count(len(ids), "image")
    click.confirm(f"Delete {what}, with all variants?", abort=True, err=True)
