"""Chooses the format of a response: by the URL, or by the `Accept` header if that leaves it open (`auto`)."""

from collections.abc import Iterable

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from imaging.formats import FORMATS, Format, by_extension
from service_kit.errors import BadRequest

AUTO = "auto"
"""Stands for the format that the client prefers."""


def requested_format(extension: str | None, parameter: str | None) -> Format | str | None:
    """The format in the path or in `format=`, AUTO, or None if neither has one.

    Raises BadRequest if they differ, and NotAcceptable for an unknown one.
    """
    given = [text for text in (extension, parameter) if text is not None]
    requested = {AUTO if text == AUTO else by_extension(text, AUTO) for text in given}
    if len(requested) > 1:
        raise BadRequest(f"the path says {extension}, but the query says {parameter}; use only one of them")
    return next(iter(requested), None)


def auto_formats() -> list[Format]:
    """The formats that `auto` considers in addition to the original's, best first."""
    ranked = [(fmt.writer.auto_rank, fmt) for fmt in FORMATS.values() if fmt.writer and fmt.writer.auto_rank]
    return [fmt for _, fmt in sorted(ranked, key=lambda pair: -pair[0])]


_MAX_ACCEPT = 1024
"""Characters. Browsers send 150; a header of 128 KiB would keep the parser busy for 0.1 s."""


def negotiated(accepts: Iterable[str], original: Format, *, animated: bool) -> Format:
    """The format that the client prefers (RFC 9110, section 12.5.1), or the original's if it accepts no other.

    Of formats with equal preference, the best one wins. A client has to name a modern format (`image/avif`), since
    clients that cannot show it send wildcards too. An animation never becomes a still image. A header of more than
    _MAX_ACCEPT is ignored.
    """
    text = ", ".join(accepts)
    header = parse_accept_header(text if len(text) <= _MAX_ACCEPT else None, MIMEAccept)
    named = {name.lower(): quality for name, quality in reversed(list(header))}
    best, quality = original, header.quality(original.media_type)
    for candidate in reversed(auto_formats()):
        preference = named.get(candidate.media_type, 0)
        if preference and preference >= quality and (candidate.animated or not animated):
            best, quality = candidate, preference
    return best
