"""`imgsvc url`: the URL of an image or a variant, for pages."""

from collections.abc import Mapping
from datetime import timedelta

import click
from imgsvc_client import Variant

from imgsvc.terminal.failures import USAGE, Failure
from imgsvc.terminal.kinds import Lifetime, Widths
from imgsvc.terminal.output import as_json
from imgsvc.terminal.profiles import Service
from imgsvc.terminal.services import ServiceCommand, json_option
from imgsvc.transfers.naming import named

EPILOG = """\
\b
examples:
  imgsvc url ID 'thumb=300&blur=2' --format webp
  imgsvc url ID --srcset 400,800,1600 --format auto
  imgsvc url ID 'thumb=300' --signed --expires 12h

The signing secret of --signed is in SIGNING_SECRET, or the `signing_secret` of a profile. Nothing is sent: the image
need not exist.
"""


@click.command("url", cls=ServiceCommand, epilog=EPILOG)
@click.argument("image", metavar="ID|URL")
@click.argument("chain", required=False)
@click.option("--format", "fmt", metavar="FORMAT", help="The format: auto, jpg, png, webp, avif, gif or tiff.")
@click.option("--width", type=click.IntRange(1), metavar="PIXELS", help="Scale the result down to so many pixels.")
@click.option("--srcset", type=Widths(), metavar="WIDTHS", help="Print the value of a srcset, such as 400,800.")
@click.option("--download", metavar="NAME", help="Make browsers save it under this name.")
@click.option("--signed", is_flag=True, help="Sign it, for a private image.")
@click.option("--expires", type=Lifetime(), help="How long a signed URL works, such as 12h.")
@json_option
def command(
    service: Service,
    image: str,
    chain: str | None,
    *,
    fmt: str | None,
    width: int | None,
    srcset: tuple[int, ...] | None,
    download: str | None,
    signed: bool,
    expires: timedelta | None,
    in_json: bool,
) -> None:
    """Print the URL of an image, or of a variant: CHAIN has operations, as behind the ? of a URL."""
    image_id, variant, fmt = named(service, image, chain, fmt)
    _check(variant)
    if expires and not signed:
        raise Failure("--expires is for signed URLs; add --signed", USAGE)
    if signed and not variant.secret:
        raise Failure("there is no signing secret; set SIGNING_SECRET, or `signing_secret` in a profile", USAGE)
    made = _made(variant, fmt, width=width, srcset=srcset, download=download, signed=signed, expires=expires)
    click.echo(as_json({"image_id": image_id, **made}) if in_json else made.get("srcset", made["url"]))


def _made(
    variant: Variant,
    fmt: str | None,
    *,
    width: int | None,
    srcset: tuple[int, ...] | None,
    download: str | None,
    signed: bool,
    expires: timedelta | None,
) -> Mapping[str, str]:
    def url(wide: int | None) -> str:
        if signed:
            return variant.signed_url(fmt, expires=expires, width=wide)
        return variant.url(fmt, width=wide, download=download)

    if not srcset:
        return {"url": url(width)}
    return {"url": url(srcset[-1]), "srcset": ", ".join(f"{url(each)} {each}w" for each in srcset)}


def _check(variant: Variant) -> None:
    """Refuse what a request would refuse. Presets are the service's own, so chains with one are not read."""
    chain = str(variant.chain)
    if not chain or "preset=" in chain:
        return
    from service_kit.errors import ServiceError  # noqa: PLC0415  # takes a moment
    from transform_service.chain import parse  # noqa: PLC0415

    try:
        parse(chain, max_operations=100, presets={})
    except ServiceError as error:
        raise Failure(str(error), USAGE) from error
