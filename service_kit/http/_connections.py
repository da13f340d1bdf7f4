"""Connections that answer with problem+json even for errors that middlewares do not see.

Such errors come from requests that are not valid HTTP, from `Expect`, which aiohttp handles before the middlewares, and
from clients that hang up. The last are common, so the log has only one line for each.
"""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from service_kit.errors import BadRequest, ServiceError
from service_kit.http.middlewares import refusal
from service_kit.http.problems import from_aiohttp
from service_kit.http.request_log import log_hang_up


class Connection(RequestHandler):
    """One client's connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The response to a request that failed. Raises ConnectionError if a response has begun already."""
        super().handle_error(request, status, exc, message)  # logs
        assert isinstance(request, web.Request)
        if isinstance(exc, HttpProcessingError):
            error: ServiceError = BadRequest(f"the request is not valid HTTP: {_first_line(exc)}")
        else:
            error = ServiceError("internal error; report it with this request ID")
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


class Server(web.Server):
    """Creates a Connection for every client."""

    @classmethod
    def like(cls, made: web.Server) -> "Server":
        """A server with the handler and the options of a server that aiohttp made."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await made.request_handler(request)
            except asyncio.CancelledError:
                log_hang_up(request)
                raise
            except web.HTTPException as error:
                assert isinstance(request, web.Request)
                return refusal(request, from_aiohttp(request, error))

        return cls(
            handle,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,  # noqa: SLF001
            **made._kwargs,  # noqa: SLF001
        )

    def __call__(self) -> Connection:
        """The handler of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)


def _first_line(error: BaseException) -> str:
    text = error.message if isinstance(error, HttpProcessingError) else str(error)
    return (text.splitlines() or [type(error).__name__])[0]
