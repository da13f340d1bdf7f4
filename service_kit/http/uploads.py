"""Reads what clients post into the spool: a form with a file, or a raw image."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http import HttpProcessingError

from service_kit.errors import BadRequest, ContentTooLarge, RequestTimedOut, UnsupportedEncoding
from service_kit.settings import CommonSettings
from service_kit.spool import Spool, Spooled

FILE_FIELD = "image"
_CHUNK = 256 * 1024
_MAX_PARTS = 32
_MAX_TEXT = 8192
_MAX_AROUND = 1024**2
"""How many bytes larger than its file a form may be. nginx has the same limit (nginx/configure.sh)."""


@dataclass
class Form:
    """A posted form: the file in the field `image`, and the text fields by lower-case name."""

    file: Spooled | None = None
    texts: dict[str, str] = field(default_factory=dict)


class _Counted(StreamReader):
    """The body of a request. Counts all bytes that MultipartReader reads or skips."""

    def __init__(self, body: StreamReader, limit: int) -> None:
        self._body = body
        self._limit = limit
        self._count = 0

    async def read(self, n: int = -1) -> bytes:
        """See StreamReader. Raises ContentTooLarge if the body as a whole exceeds the limit."""
        return self._counted(await self._body.read(n))

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        """See StreamReader. Raises ContentTooLarge if the body as a whole exceeds the limit."""
        return self._counted(await self._body.readline(max_line_length=max_line_length))

    def at_eof(self) -> bool:
        """See StreamReader."""
        return self._body.at_eof()

    def unread_data(self, data: bytes) -> None:
        """See StreamReader."""
        self._count -= len(data)
        self._body.unread_data(data)

    def _counted(self, data: bytes) -> bytes:
        self._count += len(data)
        if self._count > self._limit:
            raise ContentTooLarge(f"the form is larger than {self._limit} bytes")
        return data


@asynccontextmanager
async def read_form(request: web.Request, spool: Spool, settings: CommonSettings) -> AsyncIterator[Form]:
    """Read the body: multipart, urlencoded, or raw bytes with an `image/*` content type.

    The file stays in the spool until the end of the context. Raises BadRequest for a broken body or another content
    type, ContentTooLarge, UnsupportedEncoding for a compressed body, and RequestTimedOut for a body that does not
    arrive in time. Without that limit, each read could succeed while all of them together take hours.
    """
    _refuse_encodings(request)
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(settings.upload_seconds):
                form = await _read(request, spool, settings.max_upload_bytes, stack)
        except TimeoutError as error:
            raise RequestTimedOut(f"the body did not arrive within {settings.upload_seconds:g} s") from error
        except (web.RequestPayloadError, HttpProcessingError) as error:
            raise BadRequest(
                "the body is incomplete, or does not match its Transfer-Encoding header; send it again"
            ) from error
        yield form


def _refuse_encodings(request: web.Request) -> None:
    encodings = ", ".join(request.headers.getall("Content-Encoding", [])).strip().lower()
    if encodings not in {"", "identity"}:
        raise UnsupportedEncoding(f"the body has the Content-Encoding {encodings[:64]!r}; send it uncompressed")


async def _read(request: web.Request, spool: Spool, limit: int, stack: AsyncExitStack) -> Form:
    content_type = request.content_type
    if content_type == "multipart/form-data":
        return await _read_multipart(request, spool, limit, stack)
    if content_type == "application/x-www-form-urlencoded":
        return await _read_urlencoded(request)
    if content_type.startswith("image/"):
        return Form(await _spool(request.content.iter_chunked(_CHUNK), spool, limit, stack))
    raise BadRequest(
        f"the content type {content_type} is not supported; send multipart/form-data with a file in the field"
        f" {FILE_FIELD!r}, or raw bytes with an image/* content type"
    )


async def _read_multipart(request: web.Request, spool: Spool, limit: int, stack: AsyncExitStack) -> Form:
    form = Form()
    body = _Counted(request.content, limit + _MAX_AROUND)
    try:
        async for part in _parts(MultipartReader(request.headers, body)):
            await _read_part(part, form, spool, limit, stack)
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError) as error:
        # aiohttp raises these for bodies that violate RFC 7578. Their texts are about its internals.
        raise BadRequest("the multipart body is malformed or incomplete") from error
    return form


async def _read_part(part: BodyPartReader, form: Form, spool: Spool, limit: int, stack: AsyncExitStack) -> None:
    name = (part.name or "").lower()
    if name in form.texts or (name == FILE_FIELD and form.file):
        raise BadRequest(f"the field {name[:64]!r} appears twice in the form; send each field once")
    if name == FILE_FIELD:
        form.file = await _spool(_chunks(part), spool, limit, stack)
    elif part.filename is None:
        form.texts[name] = await _text(part)


async def _read_urlencoded(request: web.Request) -> Form:
    body = bytearray()
    async for chunk in request.content.iter_chunked(_MAX_TEXT):
        body += chunk
        if len(body) > _MAX_TEXT:
            raise BadRequest(
                f"the urlencoded form is larger than {_MAX_TEXT} bytes; send files as"
                " multipart/form-data, or as raw bytes with an image/* content type"
            )
    fields = [(name.lower(), value) for name, value in parse_qsl(body.decode(errors="replace"))]
    if len(texts := dict(fields)) < len(fields):
        raise BadRequest("a field appears twice in the form; send each field once")
    return Form(texts=texts)


async def _parts(reader: MultipartReader) -> AsyncIterator[BodyPartReader]:
    for _ in range(_MAX_PARTS):
        part = await reader.next()
        if part is None:
            return
        if not isinstance(part, BodyPartReader):
            raise BadRequest("nested multipart bodies are not supported")
        yield part
    raise BadRequest(f"the form has more than {_MAX_PARTS} parts")


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while not part.at_eof():
        yield await part.read_chunk(_CHUNK)


async def _text(part: BodyPartReader) -> str:
    text = bytearray()
    async for chunk in _chunks(part):
        text += chunk
        if len(text) > _MAX_TEXT:
            raise BadRequest(f"the field {part.name!r} is larger than {_MAX_TEXT} bytes")
    return text.decode()


async def _spool(chunks: AsyncIterator[bytes], spool: Spool, limit: int, stack: AsyncExitStack) -> Spooled:
    writer = await stack.enter_async_context(spool.writer(limit, "the image"))
    async for chunk in chunks:
        await writer.write(chunk)
    spooled = await writer.finish()
    if not spooled.bytes:
        raise BadRequest("the image is empty (0 bytes)")
    return spooled
