"""A connection with bounds, and with problem+json even for errors that middlewares do not see.

Such errors come from requests that are not valid HTTP, from `Expect`, which aiohttp handles before the middlewares, and
from clients that hang up or stall. They are common, so the log has only one line for each.
"""

import asyncio
from typing import Any, cast

from aiohttp import StreamReader, web
from aiohttp.http import HttpProcessingError
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from service_kit.errors import (
    BadRequest,
    HeadersTooLarge,
    RequestTimedOut,
    ServiceError,
    URITooLong,
)
from service_kit.http._body import RATE, Refused
from service_kit.http._sockets import in_kernel, reset
from service_kit.http.framing import PIECE, is_excessive
from service_kit.http.metrics import CONNECTIONS, CONNECTIONS_ENDED
from service_kit.http.middlewares import refusal
from service_kit.http.paths import MAX_URL
from service_kit.settings import CommonSettings

_HEAD = 128 * 1024
"""Bytes of a request's URL and headers together."""
_RESERVED_SECONDS = 2.0
"""For the headers on a reserved connection."""


class Connection(RequestHandler):
    """One client's connection."""

    __slots__ = ("_backlog", "_body", "_chunked", "_head_began", "_held", "_received", "_refused", "_wire", "reserved")

    def __init__(self, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self.reserved = False
        """Whether only health checks and metrics are answered here."""
        self._wire: asyncio.Transport | None = None
        self._head_began: float | None = self._loop.time()
        self._body: StreamReader | None = None
        self._chunked = False
        self._received = 0
        self._held = b""
        self._refused = False
        self._backlog: tuple[float, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._wire = cast("asyncio.Transport", transport)  # uvloop's has no such base class
        CONNECTIONS.inc()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        if self._wire is not None:
            self._wire = None
            CONNECTIONS.dec()
        super().connection_lost(exc)

    # What a client sends

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent, piece by piece if chunks may be in it, unless the handler is behind."""
        if self._refused:
            return
        in_head, known = self._in_head, self._request_count
        if not in_head and not self._chunked and not self._held:
            self._parse(data)
            return
        if not data:  # the handler has caught up: first what the parser still has
            self._parse(data)
        self._held += data
        while self._held and not self._reading_paused and len(self._messages) < self._max_msg_queue_size:
            piece, self._held = self._held[:PIECE], self._held[PIECE:]
            self._parse(piece)
            if self._refused:
                return
        if in_head and data and self._head_began is None and self._request_count == known:
            self._head_began = self._loop.time()

    def _parse(self, piece: bytes) -> None:
        in_head, known = self._in_head, self._request_count
        super().data_received(piece)
        if self._request_count > known:
            message, self._body = self._messages[-1]
            self._chunked = getattr(message, "chunked", False)
            self._received, self._head_began = 0, None
            self._refused = isinstance(message, _ErrInfo)
        else:
            self._received += len(piece)
            self._check_volume(in_head)
        if self._upgraded:  # refused by the response; what follows is not HTTP
            self._refused = True
            self.close()
        self._pause_if_behind()

    def _resume_reading_if_drained(self) -> None:
        """Parse what is left when most pipelined requests have been answered."""
        super()._resume_reading_if_drained()
        self._pause_if_behind()

    def _pause_if_behind(self) -> None:
        """Make aiohttp continue when the queue is shorter, even if its parser stopped before the queue was full.

        That happens behind a body, and then nothing would wake the parser again (seen with 3.14.5).
        """
        if not self._buffer_paused and len(self._messages) > self._msg_queue_resume_size:
            self._pause_reading_for_buffer()

    @property
    def _in_head(self) -> bool:
        """Whether the next byte belongs to the URL or the headers of a request."""
        return self._body is None or self._body.is_eof()

    def _check_volume(self, in_head: bool) -> None:
        """Refuse headers that are too large, and bodies with more framing than they need."""
        if in_head:
            if self._received > _HEAD:
                self._refuse(HeadersTooLarge(f"the URL and the headers have more than {_HEAD} bytes"))
        elif self._in_head:
            self._received = 0  # that was the end of a body
        elif self._chunked:
            assert self._body is not None
            body = self._body.total_bytes
            if is_excessive(self._received, body):
                self._break_off(
                    BadRequest("the body has too many small chunks, or chunk extensions; send larger chunks")
                )

    def _refuse(self, error: ServiceError) -> None:
        """Answer a request whose headers are incomplete, and close the connection."""
        self._refused, self._held = True, b""
        self._messages.append((_ErrInfo(error.status, Refused(error), error.detail), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _break_off(self, error: ServiceError) -> None:
        """Fail the request whose body is arriving, and close the connection."""
        assert self._body is not None
        self._refused, self._held = True, b""
        self._body.set_exception(Refused(error))

    # Deadlines

    def check(self, now: float, settings: CommonSettings) -> bool:
        """Refuse or close the connection if the client has stalled, and return whether it has."""
        if self._wire is None or (self._wire.is_closing() and not self._wire.get_write_buffer_size()):
            return False
        if self._does_not_read(now, settings.send_stall_seconds):
            CONNECTIONS_ENDED.labels("send").inc()
            reset(self._wire)
            return True
        seconds = _RESERVED_SECONDS if self.reserved else settings.header_seconds
        late = self._head_began is not None and now - self._head_began > seconds and self._is_waiting
        if late:
            self._head_is_late(seconds)
        return late

    def _head_is_late(self, seconds: float) -> None:
        CONNECTIONS_ENDED.labels("headers").inc()
        if self._received:
            self._refuse(RequestTimedOut(f"the headers did not arrive within {seconds:g} s"))
        else:
            self.force_close()

    def _does_not_read(self, now: float, seconds: float) -> bool:
        """Whether the client takes less than RATE for that long, although there is more for it."""
        assert self._wire is not None
        waiting = self._wire.get_write_buffer_size()
        if not waiting:
            self._backlog = None
            return False
        waiting += in_kernel(self._wire)
        if self._backlog is None or waiting > self._backlog[1] or self._backlog[1] - waiting >= RATE * seconds:
            self._backlog = now, waiting
        return now - self._backlog[0] >= seconds

    @property
    def _is_waiting(self) -> bool:
        """Whether no request is in progress."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def is_idle(self) -> bool:
        """Whether the client has sent a request, and nothing since."""
        return self._is_waiting and self._head_began is None and not self.reserved

    @property
    def is_half(self) -> bool:
        """Whether the client has not sent the headers of a request yet, or not all of them."""
        return self._is_waiting and self._head_began is not None

    def reserve(self) -> None:
        """Answer only health checks and metrics here, and do not wait for the rest of a body."""
        self.reserved = True
        self.forgo_body()

    def forgo_body(self) -> None:
        """Do not wait for the rest of a body after the response, and close the connection."""
        self._lingering_time = 0.0

    # Errors

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The response to a request that failed. Raises ConnectionError if a response has begun already."""
        assert isinstance(request, web.Request)
        if isinstance(exc, Refused):
            error = exc.error
        else:
            super().handle_error(request, status, exc, message)  # logs
            error = _explained(exc, self.max_line_size)
        response = refusal(request, error)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log errors of clients in one line, and bugs with their traceback."""
        cause = options.get("exc_info")
        if isinstance(cause, ConnectionError | HttpProcessingError):
            self.logger.info(f"{args[0]}: %s", *args[1:], _first_line(cause))  # noqa: G004
        else:
            super().log_exception(*args, **options)


def _explained(exc: BaseException | None, longest_url: int) -> ServiceError:
    if isinstance(exc, LineTooLong):
        if exc.args[1] == longest_url:
            return URITooLong(f"the URL has more than {longest_url} bytes; the limit is {MAX_URL}")
        return HeadersTooLarge(f"a header is too large: {_first_line(exc)}")
    if isinstance(exc, HttpProcessingError):
        return BadRequest(f"the request is not valid HTTP: {_first_line(exc)}")
    return ServiceError("internal error; report it with this request ID")


def _first_line(error: BaseException) -> str:
    text = error.message if isinstance(error, HttpProcessingError) else str(error)
    return (text.splitlines() or [type(error).__name__])[0]
