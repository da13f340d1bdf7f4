"""`imgsvc get`: downloads an image or a variant."""

import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click
from imgsvc_client import Chain, Variant

from imgsvc.terminal.failures import USAGE, Failure
from imgsvc.terminal.output import as_json
from imgsvc.terminal.profiles import Service
from imgsvc.terminal.services import ServiceCommand, json_option
from imgsvc.transfers.files import extension_of, write

_NAMED = re.compile(r"(?:.*/images?/)?(?P<id>[0-9a-f]{32})(?:\.(?P<format>[a-z0-9]+))?(?:\?(?P<query>.*))?")
EPILOG = """\
\b
examples:
  imgsvc get ID                                  the original, as ID.jpg
  imgsvc get 'ID.webp?thumb=300' -o small.webp
  imgsvc get ID --chain 'rotate=90&thumb=300' --format png -o - | display
"""


@click.command("get", cls=ServiceCommand, epilog=EPILOG)
@click.argument("image", metavar="ID|URL")
@click.option("--chain", metavar="QUERY", help="Operations, as behind the ? of a URL.")
@click.option("--format", "fmt", metavar="FORMAT", help="The format: jpg, png, webp, avif, gif or tiff.")
@click.option("-o", "--output", metavar="FILE", help="Where to write it; - is stdout (default: ID and its extension).")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@json_option
def command(
    service: Service, image: str, chain: str | None, fmt: str | None, output: str | None, *, force: bool, in_json: bool
) -> None:
    """Download the original of an image, or a variant of it."""
    image_id, variant, fmt = named(service, image, chain, fmt)
    if output == "-" and sys.stdout.isatty():
        raise Failure("stdout is a terminal, which cannot show an image; use -o FILE", USAGE)
    if output not in {None, "-"} and Path(str(output)).exists() and not force:
        raise Failure(f"{output} exists; use another name, or --force to replace it", USAGE)
    with service.client() as client:
        content = client.download(variant, fmt)
    if output == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    file = Path(output or f"{image_id}{extension_of(content)}")
    write(file, content, force=force)
    click.echo(as_json({"image_id": image_id, "file": str(file), "bytes": len(content)}) if in_json else file)


def named(
    service: Service, image: str, chain: str | None = None, fmt: str | None = None
) -> tuple[str, Variant, str | None]:
    """The ID, the variant and the format that a text means: an ID, with format and operations or not, or a URL."""
    match = _NAMED.fullmatch(image)
    if not match:
        raise Failure(f"{image[:100]!r} is not an image; write its ID, as `imgsvc list` shows it, or its URL", USAGE)
    if (chain and match["query"]) or (fmt and match["format"]):
        raise Failure(f"{image[:100]!r} has a chain or a format already; leave out --chain and --format", USAGE)
    if image.startswith(("http://", "https://")) and urlsplit(image).netloc != urlsplit(service.url).netloc:
        raise Failure(f"{image[:100]!r} belongs to another service than {service.url}; use --url", USAGE)
    steps = tuple(filter(None, (chain or match["query"] or "").lstrip("?").split("&")))
    with service.client() as client:
        variant = client.image(match["id"])
    return match["id"], Variant(variant.original, Chain(steps), variant.secret), fmt or match["format"]
