"""aiohttp's server, with a limit on the connections of a process, and a watch over their deadlines."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from service_kit.errors import CannotStart, ExpectationFailed, ServiceError, Unavailable, URITooLong
from service_kit.http import _expect as expect
from service_kit.http._connections import Connection
from service_kit.http.health import is_check
from service_kit.http.metrics import CONNECTIONS_ENDED
from service_kit.http.metrics import PATH as METRICS
from service_kit.http.middlewares import refusal
from service_kit.http.paths import MAX_URL
from service_kit.http.problems import from_aiohttp
from service_kit.http.request_log import log_hang_up
from service_kit.settings import CommonSettings

_RESERVE = 32
"""Connections beyond MAX_CONNECTIONS, for health checks and metrics. Others get 503 there."""
_UPLOADS = 0.75
"""The share of MAX_CONNECTIONS that may have a body. An upload may be slow, so a client could hold all of them."""
_WARNING_SECONDS = 60.0

NEEDED = {
    RequestHandler: {
        *("_buffer_paused", "_lingering_time", "_loop", "_max_msg_queue_size", "_messages", "_msg_queue_resume_size"),
        *("_pause_reading_for_buffer", "_reading_paused", "_request_count", "_resume_reading_if_drained"),
        *("_upgraded", "_waiter"),
    },
    web.Server: {"_connections", "_kwargs", "_loop"},
}
"""What this package uses of aiohttp that aiohttp does not promise to keep."""

logger = logging.getLogger(__name__)


class Server(web.Server):
    """Creates a Connection for every client, up to MAX_CONNECTIONS, and watches over them."""

    settings: CommonSettings
    _warned = -_WARNING_SECONDS
    _uploads = 0

    @classmethod
    def like(cls, made: web.Server, settings: CommonSettings) -> "Server":
        """A server with the handler and the options of a server that aiohttp made.

        Raises CannotStart if this aiohttp is another than this package was written for.
        """
        _check_aiohttp(made)

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            assert isinstance(request, web.Request)
            response = await respond(request)
            if expect.is_waiting(request):  # and will not send its body now
                assert isinstance(request.protocol, Connection)
                request.protocol.forgo_body()
                response.force_close()
            return response

        async def respond(request: web.Request) -> web.StreamResponse:
            try:
                _check_head(request)
            except ServiceError as error:
                return refusal(request, error)
            if _is_reserved(request):
                return await _answer_operators_only(request, made)
            try:
                with server.upload(request):
                    return await made.request_handler(request)
            except ServiceError as error:
                return _closing(request, error)
            except asyncio.CancelledError:
                log_hang_up(request)
                raise
            except web.HTTPException as error:
                return refusal(request, from_aiohttp(request, error))

        server = cls(
            handle,
            request_factory=expect.deferring(made.request_factory),
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,  # noqa: SLF001
            **made._kwargs,  # noqa: SLF001
        )
        server.settings = settings
        return server

    @contextmanager
    def upload(self, request: web.Request) -> Iterator[None]:
        """Count a request that has a body. Raises Unavailable if there are too many."""
        if not request.body_exists:
            yield
            return
        if self._uploads >= max(1, self.settings.max_connections * _UPLOADS):
            raise Unavailable("too many uploads are arriving; retry later")
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    def __call__(self) -> Connection:
        """The handler of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count a connection. If there are too many, close one that does nothing, or reserve this one, or close it."""
        super().connection_made(handler, transport)
        assert isinstance(handler, Connection)
        beyond = len(self._connections) - self.settings.max_connections
        if beyond <= 0:
            return
        closed = self._make_room()
        if closed and not closed.reserved:
            return
        CONNECTIONS_ENDED.labels("crowded").inc()
        self._warn()
        handler.reserve()
        if beyond > _RESERVE and not closed:
            transport.abort()

    async def watch(self) -> None:
        """Check the deadlines of all connections, for ever."""
        shortest = min(self.settings.header_seconds, self.settings.send_stall_seconds)
        while True:
            await asyncio.sleep(min(1.0, shortest / 4))
            now = self._loop.time()
            for connection in self._ours():
                if self._check(connection, now):
                    await asyncio.sleep(0)  # let others proceed: thousands may have stalled together

    def _check(self, connection: Connection, now: float) -> bool:
        try:
            return connection.check(now, self.settings)
        except Exception:  # otherwise one would end the deadlines of all
            logger.exception("a connection could not be checked, and is closed")
            connection.force_close()
            return True

    def _make_room(self) -> Connection | None:
        """Close the oldest connection that waits for its client: if possible for its next request, else for headers.

        Otherwise, one client with many halves of a head would lock everybody out.
        """
        idle = next((connection for connection in self._ours() if connection.is_idle), None)
        closed = idle or next((connection for connection in self._ours() if connection.is_half), None)
        if closed:
            CONNECTIONS_ENDED.labels("idle" if idle else "half").inc()
            closed.force_close()
        return closed

    def _ours(self) -> Iterator[Connection]:
        """The connections at this moment, the oldest first."""
        return (connection for connection in self.connections if isinstance(connection, Connection))

    def _warn(self) -> None:
        if time.monotonic() - self._warned >= _WARNING_SECONDS:
            self._warned = time.monotonic()
            logger.warning(
                "%d connections are open; others are refused (MAX_CONNECTIONS)", self.settings.max_connections
            )


def _check_aiohttp(made: web.Server) -> None:
    of_servers = NEEDED[web.Server] - set(dir(made))
    missing = of_servers | NEEDED[RequestHandler] - set(dir(RequestHandler))
    if missing:
        raise CannotStart(
            f"aiohttp {aiohttp.__version__} has no {', '.join(sorted(missing))};"
            " install the version in requirements.txt"
        )


def _check_head(request: web.Request) -> None:
    """Raise URITooLong or ExpectationFailed for what would take aiohttp's router long, or make aiohttp fail.

    The router's time grows with the square of the number of slashes: it took half a second for 60,000.
    """
    if len(request.raw_path) > MAX_URL:
        raise URITooLong(f"the URL has {len(request.raw_path)} bytes; the limit is {MAX_URL}")
    if expected := expect.unknown_expectation(request):
        raise ExpectationFailed(f"the expectation {expected[:64]!r} is unknown; remove it")


async def _answer_operators_only(request: web.Request, server: web.Server) -> web.StreamResponse:
    if request.path != METRICS and not is_check(request.path):
        return _closing(request, Unavailable("too many connections are open; retry later"))
    response = await server.request_handler(request)
    response.force_close()
    return response


def _closing(request: web.Request, error: ServiceError) -> web.StreamResponse:
    """The response with an error after which the connection is closed."""
    response = refusal(request, error)
    response.force_close()
    return response


def _is_reserved(request: web.BaseRequest) -> bool:
    return isinstance(request.protocol, Connection) and request.protocol.reserved
