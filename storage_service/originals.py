"""Sending an original as it was uploaded: whole, or the range that is asked for (RFC 9110, 14)."""

import re
from pathlib import Path

from aiohttp import web

from service_kit.delivery import IMMUTABLE, image_headers, is_unchanged, not_modified, send_stream
from service_kit.errors import RangeNotSatisfiable
from service_kit.middlewares import problem_response
from storage_service.blobs import BLOB_DEPTH
from storage_service.library import Library
from storage_service.metadata.base import ImageRecord

_NO_BYTES = re.compile("bytes=-0+")
"""The last zero bytes."""


async def send_original(
    request: web.Request, library: Library, record: ImageRecord, accel_prefix: str
) -> web.StreamResponse:
    """200, 206, 304 or 416. With `accel_prefix`, nginx makes a 200 or 206 of what it gets."""
    headers = image_headers(record.sha256, record.kind.content_type, IMMUTABLE, [record.image_id])
    headers["Accept-Ranges"] = "bytes"
    if is_unchanged(request, record.sha256, record.created_at):
        return not_modified(headers)
    span = _requested_range(request, record)
    if span is not None and not span:
        error = RangeNotSatisfiable(f"the image has {record.bytes} bytes; the range lies outside of them")
        refusal = problem_response(request, error)
        refusal.headers["Content-Range"] = f"bytes */{record.bytes}"
        return refusal
    if request.method == "GET" and accel_prefix and (file := await library.file(record)):
        return _sent_by_nginx(headers, record, accel_prefix, file)
    status, part = (200, range(record.bytes)) if span is None else (206, span)
    response = web.StreamResponse(status=status, headers=headers)
    response.last_modified = record.created_at.replace(microsecond=0)  # aiohttp rounds up, into the future
    response.content_length = len(part)
    if status == web.HTTPPartialContent.status_code:
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{record.bytes}"
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    return await send_stream(request, response, await library.read(record, part))


def _sent_by_nginx(headers: dict[str, str], record: ImageRecord, prefix: str, file: Path) -> web.Response:
    """Headers, and where the bytes are: nginx/snippets/originals.conf sends them, whole or the range."""
    place = "/".join(file.parts[-BLOB_DEPTH:])
    response = web.Response(headers={**headers, "X-Accel-Redirect": f"{prefix}{place}"})
    response.last_modified = record.created_at.replace(microsecond=0)  # aiohttp rounds up, into the future
    return response


def _requested_range(request: web.Request, record: ImageRecord) -> range | None:
    """The bytes asked for; empty when there are none such; None when the whole is to be sent.

    Several ranges at once, other units and broken syntax are ignored, as the RFC allows, and whatever
    is not asked by GET, as it demands.
    """
    if_range = request.headers.get("If-Range")
    if request.method != "GET" or (if_range is not None and if_range.strip() != f'"{record.sha256}"'):
        return None
    if _NO_BYTES.fullmatch(request.headers.get("Range", "")):  # aiohttp takes it for all of them
        return range(0)
    try:
        asked = request.http_range
    except ValueError:
        return None
    if asked.start is None and asked.stop is None:
        return None
    return range(record.bytes)[asked]
