"""Bounds what a server may send besides the bytes of a body, all of which is parsed in the event loop.

aiohttp bounds a header line and the number of header lines. It reads any number of interim responses (`100 Continue`)
and of chunks, so a server that floods them kept the process busy for seconds.
"""

import functools
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from service_kit.http.framing import PIECE, is_excessive

_INTERIM = 8
"""Interim responses. One or two are usual (`103 Early Hints`)."""


class Flooded(aiohttp.ClientPayloadError):
    """The server sends too much besides the body."""


def bounded(connector: aiohttp.TCPConnector) -> aiohttp.TCPConnector:
    """The connector, whose connections end with Flooded."""
    factory = functools.partial(_Bounded, loop=connector._loop)  # noqa: SLF001
    connector._factory = factory  # type: ignore[assignment]  # noqa: SLF001  # there is no public way
    return connector


class _Bounded(ResponseHandler):
    """A connection to a server."""

    def __init__(self, loop: Any) -> None:
        super().__init__(loop)
        self._held = b""
        self._begin()

    def _begin(self) -> None:
        self._received = 0
        self._interim = 0
        self._body: aiohttp.StreamReader | None = None

    def set_response_params(self, **params: Any) -> None:
        """Begin a response: aiohttp calls it after each request."""
        self._begin()
        super().set_response_params(**params)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take a response, interim or final, from the parser."""
        message, body = data
        if message.code >= 200 or message.code == 101:  # noqa: PLR2004
            self._body = body
        else:
            self._interim += 1
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Parse what the server sent, piece by piece, unless the reader is behind."""
        if self._parser is None or self._upgraded:  # no request was sent yet, or this is no longer HTTP
            super().data_received(data)
            return
        if not data:  # the reader has caught up: first what the parser still has
            super().data_received(data)
        self._held += data
        while self._held and self._parser is not None and not self._reading_paused and self._exception is None:
            piece, self._held = self._held[:PIECE], self._held[PIECE:]
            self._received += len(piece)
            super().data_received(piece)
            if problem := self._problem():
                self._held = b""
                self._end(problem)

    def _problem(self) -> str:
        """What is wrong with what was received so far; empty if nothing is."""
        if self._interim > _INTERIM:
            return f"more than {_INTERIM} interim responses"
        body = self._body.total_bytes if self._body else 0
        if is_excessive(self._received, body):
            return "more headers or framing than a body of that length needs"
        return ""

    def _end(self, problem: str) -> None:
        error = Flooded(f"the server sent {problem}")
        if self.transport is not None:
            self.transport.abort()
        if self._payload is not None:
            self._payload.set_exception(error)
        self.set_exception(error)
