"""`imgsvc get`: downloads an image or a variant."""

import sys
from pathlib import Path

import click
from imgsvc_client import Variant

from imgsvc.terminal.failures import USAGE, Failure
from imgsvc.terminal.output import as_json
from imgsvc.terminal.profiles import Service
from imgsvc.terminal.services import ServiceCommand, json_option
from imgsvc.transfers.files import check_target, extension_of, write
from imgsvc.transfers.naming import named

_EXTENSIONS = frozenset({"jpg", "jpeg", "png", "webp", "avif", "gif", "tif", "tiff"})

EPILOG = """\
\b
examples:
  imgsvc get ID                                  the original, as ID.jpg
  imgsvc get 'ID?thumb=300' -o small.webp
  imgsvc get ID --chain 'rotate=90&thumb=300' --format png -o - | display
"""


@click.command("get", cls=ServiceCommand, epilog=EPILOG)
@click.argument("image", metavar="ID|URL")
@click.option("--chain", metavar="QUERY", help="Operations, as behind the ? of a URL.")
@click.option("--format", "fmt", metavar="FORMAT", help="jpg, png, webp, avif, gif or tiff (default: that of FILE).")
@click.option("-o", "--output", metavar="FILE", help="Where to write it; - is stdout (default: ID and its extension).")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@json_option
def command(
    service: Service, image: str, chain: str | None, fmt: str | None, output: str | None, *, force: bool, in_json: bool
) -> None:
    """Download the original of an image, or a variant of it."""
    image_id, variant, fmt = named(service, image, chain, fmt)
    fmt = fmt or _format_of(output or "", variant)
    if output == "-" and sys.stdout.isatty():
        raise Failure("stdout is a terminal, which cannot show an image; use -o FILE", USAGE)
    if output not in {None, "-"}:
        check_target(Path(str(output)), force=force)
    with service.client() as client:
        content = client.download(variant, fmt)
    if output == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    file = Path(output or f"{image_id}{extension_of(content)}")
    write(file, content, force=force)
    click.echo(as_json({"image_id": image_id, "file": str(file), "bytes": len(content)}) if in_json else file)


def _format_of(output: str, variant: Variant) -> str | None:
    """The format that the extension of a file names, unless the chain names one."""
    extension = Path(output).suffix.lower().removeprefix(".")
    chosen = any(step.startswith(("format=", "fm=")) for step in variant.chain.steps)
    return extension if extension in _EXTENSIONS and not chosen else None
