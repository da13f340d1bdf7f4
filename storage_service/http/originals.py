"""Sends originals, whole or in ranges (RFC 9110, section 14)."""

import re
from datetime import datetime

from aiohttp import web

from imaging.formats import EXTENSIONS
from service_kit.access import guard_of
from service_kit.errors import RangeNotSatisfiable
from service_kit.http import access
from service_kit.http.attachments import attachment
from service_kit.http.delivery import (
    FILE_CONDITIONS,
    caching_for,
    check_match,
    guard_headers,
    image_headers,
    is_unchanged,
    not_modified,
    resumes,
    send_stream,
)
from service_kit.http.problems import problem_response
from service_kit.usage import HEADER, ORIGINAL, Outcome, header
from storage_service.library import Library
from storage_service.metadata.base import ImageRecord
from storage_service.settings import StorageSettings

_PLAIN = re.compile(r"bytes=(\d{1,15}-\d{0,15}|-\d{1,15})", re.ASCII)
"""Ranges that nginx reads as we do."""
_USAGE = header(Outcome.FILE, 0, ORIGINAL)
_NO_BYTES = re.compile("bytes=-0+")
"""Requests the last zero bytes."""


async def send_original(
    request: web.Request,
    library: Library,
    record: ImageRecord,
    settings: StorageSettings,
    download: str | None = None,
    *,
    is_named: bool = False,
) -> web.StreamResponse:
    """Answer with 200, 206, 304 or 416. With ACCEL_PREFIX, nginx sends the bytes of a 200 or 206.

    `download` is the value of that parameter. What a name shows may change, also to an older image, so that it has no
    date. Raises PreconditionFailed.
    """
    modified = None if is_named else record.created_at
    check_match(request, record.sha256, modified)
    fmt = record.image_format
    disposition = None if download is None else attachment(download, record.image_id, fmt.extensions, EXTENSIONS)
    viewer = access.identity_of(request)
    guard = guard_of(record.visibility, record.space)
    caching = caching_for(settings.original_caching, guard, viewer, record.expires_at)
    if is_named:
        caching = caching.changing()
    headers = image_headers(record.sha256, fmt.media_type, caching, [record.image_id], disposition)
    headers |= guard_headers(guard, viewer)
    headers["Accept-Ranges"] = "bytes"
    headers[HEADER] = _USAGE
    if is_unchanged(request, record.sha256, modified):
        return not_modified(headers)
    requested = _requested_range(request, record, modified)
    if requested is not None and not requested:
        error = RangeNotSatisfiable(f"the range starts outside of the image, which is {record.bytes} bytes")
        refusal = problem_response(request, error)
        refusal.headers["Content-Range"] = f"bytes */{record.bytes}"
        return refusal
    if settings.accel_prefix and _suits_nginx(request, requested) and (key := await library.file_key(record)):
        return _sent_by_nginx(headers, modified, settings.accel_prefix + key)
    status, part = (200, range(record.bytes)) if requested is None else (206, requested)
    response = web.StreamResponse(status=status, headers=headers)
    _date(response, modified)
    response.content_length = len(part)
    if status == web.HTTPPartialContent.status_code:
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{record.bytes}"
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    return await send_stream(request, response, await library.read(record, part))


def _date(response: web.StreamResponse, modified: datetime | None) -> None:
    if modified:
        response.last_modified = modified.replace(microsecond=0)  # aiohttp rounds up, into the future


def _sent_by_nginx(headers: dict[str, str], modified: datetime | None, path: str) -> web.Response:
    """Headers and the path of the bytes, which nginx/snippets/originals.conf sends, whole or in a range."""
    response = web.Response(headers={**headers, "X-Accel-Redirect": path})
    _date(response, modified)
    return response


def _suits_nginx(request: web.Request, requested: range | None) -> bool:
    """Whether nginx would answer as this service."""
    if request.method != "GET" or any(name in request.headers for name in FILE_CONDITIONS if name != "Range"):
        return False
    text = request.headers.get("Range")
    return text is None or (requested is not None and _PLAIN.fullmatch(text) is not None)


def _requested_range(request: web.Request, record: ImageRecord, modified: datetime | None) -> range | None:
    """The requested bytes: empty if the range is outside of the image, None to send all of it.

    Ignores several ranges at once, other units and invalid syntax, as the RFC allows, and ranges of methods other than
    GET, as it demands.
    """
    if request.method != "GET" or not resumes(request, record.sha256, modified):
        return None
    if _NO_BYTES.fullmatch(request.headers.get("Range", "")):  # aiohttp would read it as all bytes
        return range(0)
    try:
        requested = request.http_range
    except ValueError:
        return None
    if requested.start is None and requested.stop is None:
        return None
    return range(record.bytes)[requested]
