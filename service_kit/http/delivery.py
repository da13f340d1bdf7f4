"""Delivers images: response headers, conditional requests, streaming."""

import logging
import re
import time
from collections.abc import AsyncIterable, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from aiohttp import web

from service_kit.access import EVERYTHING, Guard, Identity
from service_kit.cache_control import YEAR, Caching
from service_kit.errors import PreconditionFailed, ServiceError
from service_kit.http.purges import KEYS_HEADER, LIFETIME_HEADER, UNTIL_HEADER, VIEWERS_HEADER, surrogate_keys

FILE_CONDITIONS = ("If-Match", "If-Range", "If-Unmodified-Since", "Range")
"""Headers that nginx would compare with a file that it sends, whose date and ETag are others."""

_KEPT_NOWHERE = Caching("private, no-store")
"""What pending images say: with a lifetime for Varnish, a signed URL would get them from it."""
_ETAG = re.compile(r'(W/)?"([^"]*)"')
"""aiohttp's own expression takes time with the square of the length."""
_DATE = 64
"""More characters than any HTTP date has."""

logger = logging.getLogger(__name__)


def _caching_headers(caching: Caching, image_ids: Iterable[str]) -> dict[str, str]:
    keys = surrogate_keys(image_ids)
    listed = keys if caching.key_header == "Surrogate-Key" else keys.replace(" ", ",")
    headers: dict[str, str] = {
        "Cache-Control": caching.cache_control,
        "CDN-Cache-Control": caching.cdn_cache_control,
        LIFETIME_HEADER: f"max-age={caching.lifetime}" if caching.immutable and keys else "",
        UNTIL_HEADER: str(int(time.time()) + caching.lifetime) if keys and caching.lifetime < YEAR else "",
        KEYS_HEADER: keys,
        caching.key_header: listed,
    }
    return {name: value for name, value in headers.items() if name and value}


def guard_headers(guard: Guard | None, viewer: Identity) -> dict[str, str]:
    """What Varnish has to check before it sends a response to anybody else.

    Also for private images where nobody needs a key: that may change while Varnish keeps the response. Not for pending
    images, which it does not keep (caching_for).
    """
    if guard is None or guard.pending or (guard.space is None and viewer is EVERYTHING):
        return {}
    return {VIEWERS_HEADER: "any" if guard.space is None else f"space-{guard.space}"}


def caching_for(caching: Caching, guard: Guard | None, viewer: Identity, expires_at: datetime | None = None) -> Caching:
    """What a response says to caches, if only some may see it, or if it is deleted at some time."""
    if expires_at:
        caching = caching.within(max(0, int(expires_at.timestamp() - time.time())))
    if guard and guard.pending:
        return _KEPT_NOWHERE
    if guard is None or (guard.space is None and (viewer.signed or viewer is EVERYTHING)):
        return caching
    if not viewer.signed:
        return caching.private(0)
    left = YEAR if viewer.until is None else int(viewer.until - time.time())
    return caching.private(max(0, min(left, YEAR)))


def image_headers(
    etag: str, content_type: str, caching: Caching, image_ids: Iterable[str] = (), disposition: str | None = None
) -> dict[str, str]:
    """The headers of a response with an image, or of the 304 that replaces it.

    `image_ids` are the stored images that it shows. Caches remove the response when one of them is deleted (`Xkey`).
    A `disposition` (attachments.py) is for clients that save the image.
    """
    saved = {"Content-Disposition": disposition} if disposition else {}
    return (
        _caching_headers(caching, image_ids)
        | saved
        | {
            "Content-Type": content_type,
            "ETag": f'"{etag}"',
            "Content-Security-Policy": "default-src 'none'; sandbox",
            # For pages that require it of everything they embed (Cross-Origin-Embedder-Policy).
            "Cross-Origin-Resource-Policy": "cross-origin",
            # Pictures only: a page that embeds a list in a frame would learn its size.
            "Timing-Allow-Origin": "*",
        }
    )


def is_unchanged(request: web.Request, etag: str, modified: datetime | None = None) -> bool:
    """Whether the client's copy is current (RFC 9110, 13.1.2 and 13.1.3). If-None-Match takes precedence."""
    if request.method not in {"GET", "HEAD"}:
        return False
    if known := _listed(request, "If-None-Match"):
        return known == "*" or any(value == etag for _, value in _ETAG.findall(known))
    since = _moment(request.headers.get("If-Modified-Since", ""))
    return bool(modified and since and modified.replace(microsecond=0) <= since)


def check_match(request: web.Request, etag: str, modified: datetime | None = None) -> None:
    """Raise PreconditionFailed if the client expects different content (RFC 9110, 13.1.1 and 13.1.4)."""
    if expected := _listed(request, "If-Match"):
        if expected != "*" and not any(value == etag and not weak for weak, value in _ETAG.findall(expected)):
            raise PreconditionFailed(f'If-Match does not list the ETag of the image, which is "{etag}"')
        return
    since = _moment(request.headers.get("If-Unmodified-Since", ""))
    if modified and since and modified.replace(microsecond=0) > since:
        raise PreconditionFailed(
            "the image is newer than If-Unmodified-Since says; request it again without the header"
        )


def _listed(request: web.Request, header: str) -> str:
    """The value of a header that may be repeated; empty without one."""
    return ", ".join(request.headers.getall(header, [])).strip()


def _moment(text: str) -> datetime | None:
    """An HTTP date (RFC 9110, section 5.6.7); None for anything else, which has to be ignored.

    aiohttp's own property fails on numbers that no calendar has.
    """
    try:
        return None if len(text) > _DATE else parsedate_to_datetime(text).replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def resumes(request: web.Request, etag: str, modified: datetime | None) -> bool:
    """Whether a range continues what the client has (If-Range; RFC 9110, 13.1.5)."""
    known = request.headers.get("If-Range", "").strip()
    if not known or known == f'"{etag}"':
        return True
    return modified is not None and _moment(known) == modified.replace(microsecond=0)


def not_modified(headers: dict[str, str]) -> web.Response:
    """A 304 with the headers of the full response."""
    return web.Response(status=304, headers={k: v for k, v in headers.items() if k != "Content-Type"})


async def send_stream(
    request: web.Request, response: web.StreamResponse, chunks: AsyncIterable[bytes | memoryview]
) -> web.StreamResponse:
    """Send a body of known length. If it ends early, abort the connection: a short body must not look complete."""
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    try:
        await _send_all(response, chunks)
    except (ServiceError, OSError, EOFError) as error:
        logger.warning("sending %r broke off: %r", request.path, error)
        if request.transport:
            request.transport.abort()
    return response


async def _send_all(response: web.StreamResponse, chunks: AsyncIterable[bytes | memoryview]) -> None:
    """Raises EOFError if bytes are missing: the client would take the next response for the rest."""
    sent = 0
    async for chunk in chunks:
        await response.write(chunk)
        sent += len(chunk)
    if sent != response.content_length:
        raise EOFError(f"got {sent} bytes instead of {response.content_length}")
    await response.write_eof()
