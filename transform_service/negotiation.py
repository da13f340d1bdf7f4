"""Which format an `Accept` header gets, where the request leaves it open (`.auto`, `format=auto`)."""

from collections.abc import Iterable

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from service_kit.formats import FORMATS, Format

_MODERN = (FORMATS["avif"], FORMATS["webp"])
"""The best first: it wins where the client likes several equally."""


def negotiated(accepts: Iterable[str], original: Format, *, animated: bool) -> Format:
    """AVIF, WebP, or the original's format: what the client says it likes best (RFC 9110, 12.5.1).

    A modern format must be named (`image/avif`): wildcards are sent by clients that cannot show it too. An animation
    never becomes a still. Where nothing fits, it is the original's format.
    """
    header = parse_accept_header(", ".join(accepts), MIMEAccept)
    named = {name.lower(): quality for name, quality in reversed(list(header))}
    best, quality = original, header.quality(original.content_type)
    for candidate in reversed(_MODERN):
        liked = named.get(candidate.content_type, 0)
        if liked and liked >= quality and (candidate.animated or not animated):
            best, quality = candidate, liked
    return best
