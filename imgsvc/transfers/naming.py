"""What people write for an image: its ID, with a format and operations or not, or its URL."""

import re
from urllib.parse import urlsplit

from imgsvc_client import Chain, Variant

from imgsvc.terminal.failures import USAGE, Failure
from imgsvc.terminal.profiles import Service

_NAMED = re.compile(r"(?:.*/images?/)?(?P<id>[0-9a-f]{32})(?:\.(?P<format>[a-z0-9]+))?(?:\?(?P<query>.*))?")


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


def id_of(service: Service, image: str) -> str:
    """The ID in a text."""
    return named(service, image)[0]
