"""Reads what clients post into the spool: a form with a file, or a raw image."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import parse_qsl

from aiohttp import web

from service_kit.errors import BadRequest, UnsupportedEncoding, UnsupportedImage
from service_kit.http import _forms as forms
from service_kit.http import media_types
from service_kit.http._body import Body
from service_kit.settings import CommonSettings
from service_kit.spool import Spool, Spooled
from service_kit.suggestions import hint
from service_kit.threads import in_thread

_Check = Callable[..., None]
"""`_check_field` for one request: called with the name of a field, and whether it is a file."""
FILE_FIELD = "image"
_LONGEST_PATH = 255
_MAX_TEXT = 8192
_MAX_AROUND = 1024**2
"""How many bytes larger than its file a form may be. nginx has the same limit (nginx/configure.sh)."""


@dataclass
class Form:
    """A posted form: the file in the field `image`, and the text fields by lower-case name."""

    file: Spooled | None = None
    filename: str = ""
    """As the client calls the file; empty if it did not say."""
    texts: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def read_form(
    request: web.Request,
    spool: Spool,
    settings: CommonSettings,
    fields: Collection[str] = (FILE_FIELD,),
    *,
    of_query: Collection[str] = (),
    limit: int | None = None,
    urlencoded: bool = False,
) -> AsyncIterator[Form]:
    """Read the body: multipart, raw bytes with an `image/*` content type, or `urlencoded`, which has no file.

    The file stays in the spool until the end of the context. `of_query` is what the query may have, and the form may
    not. `limit` is that of its bytes, if it is lower than that of the settings.

    Raises BadRequest for a broken body, another content type, or a field that is not one of `fields`, ContentTooLarge,
    UnsupportedEncoding for a compressed body, and RequestTimedOut for a body that does not arrive in time. Without that
    limit, each read could succeed while all of them together take hours.
    """
    _refuse_encodings(request)
    content_type = media_types.media_type(request.headers.get("Content-Type", "application/octet-stream"))
    async with AsyncExitStack() as stack:
        saver = _Saver(spool, min(settings.max_upload_bytes, limit or settings.max_upload_bytes), stack)
        body = Body(request, settings)
        check = partial(_check_field, fields=fields, of_query=of_query, path=request.path)
        if urlencoded and content_type.name == "application/x-www-form-urlencoded":
            yield await _read_urlencoded(body, check)
        else:
            yield await _read(content_type, body, saver, check)


@asynccontextmanager
async def read_file(
    request: web.Request, spool: Spool, settings: CommonSettings, limit: int, what: str
) -> AsyncIterator[Spooled]:
    """Read the body, whatever its content type, of at most `limit` bytes. `what` names it in errors.

    The file stays in the spool until the end of the context. Raises the errors of `read_form`.
    """
    _refuse_encodings(request)
    async with AsyncExitStack() as stack:
        yield await _Saver(spool, limit, stack, what).save(Body(request, settings).chunks(limit))


def _refuse_encodings(request: web.Request) -> None:
    encodings = ", ".join(request.headers.getall("Content-Encoding", [])).strip().lower()
    if encodings not in {"", "identity"}:
        raise UnsupportedEncoding(f"the body has the Content-Encoding {encodings[:64]!r}; send it uncompressed")


@dataclass(frozen=True, slots=True)
class _Saver:
    """Writes a file to the spool, where it stays until the end of a context."""

    spool: Spool
    limit: int
    stack: AsyncExitStack
    what: str = "the image"
    """Names the contents in errors."""

    async def save(self, chunks: AsyncIterable[bytes]) -> Spooled:
        """Save a file. Raises BadRequest if it is empty, ContentTooLarge, and InsufficientStorage."""
        writer = await self.stack.enter_async_context(self.spool.writer(self.limit, self.what))
        async for chunk in chunks:
            await writer.write(chunk)
            del chunk  # the next may take long to arrive
        spooled = await writer.finish()
        if not spooled.bytes:
            raise BadRequest("the image is empty (0 bytes)")
        return spooled


async def _read(content_type: media_types.Value, body: Body, saver: _Saver, check: _Check) -> Form:
    if content_type.name == "multipart/form-data":
        boundary = forms.boundary_of(content_type)
        return await _read_multipart(forms.parts(body.chunks(saver.limit + _MAX_AROUND), boundary), saver, check)
    if content_type.name.startswith("image/"):
        body.check_length(saver.limit, saver.what)
        return Form(await saver.save(body.chunks(saver.limit + _MAX_AROUND)))
    raise BadRequest(
        f"the content type {content_type.name} is not accepted for images; use a form with a file in the field"
        f" {FILE_FIELD!r}, as in `curl -F {FILE_FIELD}=@photo.jpg`, or raw bytes with the content type of the image, as"
        " in `curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg`"
    )


def _check_field(
    name: str, *, fields: Collection[str], of_query: Collection[str], path: str, is_file: bool = False
) -> None:
    """Raise BadRequest for an unknown field, whose value would be ignored."""
    if name in fields:
        return
    what = name[:64]
    if is_file:
        raise BadRequest(
            f"the form has an unknown field {what!r}; put the file into `{FILE_FIELD}`, as in"
            f" `curl -F {FILE_FIELD}=@photo.jpg`"
        )
    if name in of_query:
        raise BadRequest(
            f"the form has an unknown field {what!r}; it goes into the query of the URL, as in `{path}?{name}=…`"
        )
    advice = hint(name, [FILE_FIELD, *sorted({*fields} - {FILE_FIELD})])
    if advice.endswith("?"):
        raise BadRequest(f"the form has an unknown field {what!r}; {advice}")
    raise BadRequest(f"the form has an unknown field {what!r}; {advice}; anything else goes into the query of the URL")


async def _read_multipart(parts: AsyncIterator[forms.Part], saver: _Saver, check: _Check) -> Form:
    form = Form()
    async for part in parts:
        name = part.name
        check(name, is_file=bool(part.filename))
        if name in form.texts or (name == FILE_FIELD and form.file):
            raise BadRequest(f"the field {name[:64]!r} appears twice in the form; send each field once")
        if name == FILE_FIELD:
            form.file, form.filename = await saver.save(part.contents), part.filename or ""
            if part.filename is None:
                await in_thread(_refuse_path, form.file)
        elif part.filename is not None:
            raise BadRequest(f"the field {name!r} must be text, not a file; send files in the field {FILE_FIELD!r}")
        else:
            form.texts[name] = await _text(part)
    return form


def _refuse_path(file: Spooled) -> None:
    """Refuse the name of a file in place of the file. No image has so few bytes, all of which are printable."""
    if file.bytes > _LONGEST_PATH:
        return
    text = file.path.read_bytes().decode(errors="replace")
    if text.isprintable() and "\ufffd" not in text:
        raise UnsupportedImage(
            f"the field {FILE_FIELD!r} has the text {text[:64]!r} and no file; write `curl -F {FILE_FIELD}=@photo.jpg`:"
            " the @ sends the file"
        )


async def _text(part: forms.Part) -> str:
    text = bytearray()
    async for chunk in part.contents:
        text += chunk
        if len(text) > _MAX_TEXT:
            raise BadRequest(f"the field {part.name[:64]!r} is larger than {_MAX_TEXT} bytes")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"the field {part.name[:64]!r} is not UTF-8") from error


async def _read_urlencoded(body: Body, check: _Check) -> Form:
    text = bytearray()
    async for chunk in body.chunks(_MAX_AROUND):
        text += chunk
        if len(text) > _MAX_TEXT:
            raise BadRequest(
                f"the urlencoded form is larger than {_MAX_TEXT} bytes; send files as"
                " multipart/form-data, or as raw bytes with an image/* content type"
            )
    given = [(name.lower(), value) for name, value in parse_qsl(text.decode(errors="replace"), keep_blank_values=True)]
    for name, _ in given:
        check(name)
    if len(texts := dict(given)) < len(given):
        raise BadRequest("a field appears twice in the form; send each field once")
    return Form(texts=texts)
