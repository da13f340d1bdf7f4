"""Parses `Content-Type` and `Content-Disposition`, in time that grows with their length and not faster.

aiohttp leaves them to Python's e-mail parser, which takes a second for nested comments of 8 kB, and fails on others.
"""

import re
from dataclasses import dataclass
from types import MappingProxyType

from service_kit.errors import BadRequest

MAX_BYTES = 256
"""The limit on a media type. The longest in use, with a boundary, has about 120 bytes."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE = re.compile(rf"({_WORD}/{_WORD})[ \t]*")
_DISPOSITION = re.compile(rf"({_WORD})[ \t]*")
_UNQUOTED = r'[^\s";\x00-\x1f\x7f]++'
"""More than RFC 9110 allows: many clients do not quote a boundary with a `/` or a `=`."""
_PARAMETER = re.compile(rf';[ \t]*+(?:({_WORD})=(?:"((?:[^"\\]|\\.)*+)"|({_UNQUOTED})))?[ \t]*+')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Value:
    """A name and its parameters. Names are in lower case."""

    name: str
    parameters: MappingProxyType[str, str]


def media_type(text: str) -> Value:
    """Parse a Content-Type (RFC 9110, section 8.3.1). Raises BadRequest."""
    if len(text) > MAX_BYTES:
        raise BadRequest(f"the Content-Type header has {len(text)} bytes; the limit is {MAX_BYTES}")
    return _parsed(_TYPE, text, "the Content-Type header")


def disposition(text: str) -> Value:
    """Parse a Content-Disposition (RFC 7578, section 4.2). Its length has to be bounded. Raises BadRequest."""
    return _parsed(_DISPOSITION, text, "a Content-Disposition header of the form")


def _parsed(start: re.Pattern[str], text: str, what: str) -> Value:
    text = text.strip(" \t")
    match = start.match(text)
    parameters: dict[str, str] = {}
    while match:
        end = match.end()
        if end == len(text):
            first = start.match(text)
            assert first
            return Value(first[1].lower(), MappingProxyType(parameters))
        match = _PARAMETER.match(text, end)
        if match and match[1]:
            name = match[1].lower()
            if name in parameters:
                raise BadRequest(f"{what} has the parameter {name!r} twice; write it once")
            parameters[name] = match[3] if match[2] is None else _ESCAPED.sub(r"\1", match[2])
    raise BadRequest(f"{what} is not valid: {text[:64]!r}; write it as RFC 9110 (sections 5.6 and 8.3) says")
