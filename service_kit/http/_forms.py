"""Splits a multipart body into parts (RFC 7578), with a bound on everything but the contents of a part."""

import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from urllib.parse import unquote

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

from service_kit.errors import BadRequest
from service_kit.http import media_types

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
"""RFC 2046, section 5.1.1."""
_MAX_PARTS = 32
_MAX_HEADERS = 8
"""Per part; RFC 7578 knows three."""
_MAX_HEADER = 4096
"""Bytes of one header of a part. A file name has at most 255 characters, of up to 12 bytes if they are escaped."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part: the name of its field in lower case, and its contents, which can be read once."""

    name: str
    filename: str | None
    """None unless it is a file."""
    contents: AsyncIterator[bytes]


def _decoded(text: str | None) -> str | None:
    return None if text is None else text.encode("latin-1", "replace").decode(errors="replace")


def boundary_of(content_type: media_types.Value) -> str:
    """The boundary of a multipart body. Raises BadRequest if it is missing or invalid."""
    boundary = content_type.parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadRequest(
            "the Content-Type header has no valid boundary; write it as multipart/form-data; boundary=TEXT,"
            " where TEXT has 1 to 70 of the characters of RFC 2046"
        )
    return boundary


async def parts(body: AsyncIterable[bytes], boundary: str) -> AsyncIterator[Part]:
    """The parts of a body, which is read to its end. The contents of a part are skipped unless they are read.

    Raises BadRequest if the body is malformed or exceeds a limit.
    """
    events = _events(body, boundary)
    async for event in events:
        if isinstance(event, MultipartSegment):
            name = _decoded(event.name) or ""
            contents = _contents(events)
            yield Part(name.lower(), _decoded(event.filename), contents)
            async for _ in contents:
                pass


async def _contents(events: "AsyncIterator[MultipartSegment | bytes | None]") -> AsyncIterator[bytes]:
    async for event in events:
        if not isinstance(event, bytes):
            return
        yield event
        del event  # the next may take long to arrive


async def _events(body: AsyncIterable[bytes], boundary: str) -> "AsyncIterator[MultipartSegment | bytes | None]":
    """A segment at the beginning of each part, then its contents in chunks, then None."""
    parser = _Parser(
        boundary,
        max_header_size=_MAX_HEADER,
        max_header_count=_MAX_HEADERS,
        max_segment_count=_MAX_PARTS,
        header_charset="latin-1",  # names may be in any; see _decoded
    )
    try:
        async for chunk in body:
            for event in parser.parse(chunk):
                yield event
                del event
            del chunk  # the next may take long to arrive
        parser.close()  # type: ignore[no-untyped-call]
    except ParserLimitReached as error:
        raise BadRequest(
            f"the form has more than {_MAX_PARTS} parts, or a part with more than {_MAX_HEADERS} headers or a header"
            f" of more than {_MAX_HEADER} bytes"
        ) from error
    except MultipartError as error:
        raise BadRequest("the multipart body is malformed or incomplete") from error


class _Parser(PushMultipartParser):
    """Reads Content-Disposition by itself: the library's regular expression takes quadratic time."""

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> MultipartSegment:
        found = [value for name, value in headerlist if name == "Content-Disposition"]
        value = media_types.disposition(found[0]) if len(found) == 1 else None
        if value is None or value.name != "form-data":
            raise BadRequest("each part of the form needs one header `Content-Disposition: form-data; name=…`")
        segment = MultipartSegment([])
        segment.name = value.parameters.get("name", "")
        extended = value.parameters.get("filename*")
        segment.filename = value.parameters.get(
            "filename", extended and unquote(extended.rpartition("'")[2], "latin-1")
        )
        return segment
