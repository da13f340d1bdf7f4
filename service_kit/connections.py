"""Connections as aiohttp handles them, but for errors that no middleware sees: those are problem+json too.

They come from the parser (no HTTP at all), from `Expect`, which aiohttp looks at before the middlewares, and
from clients that hang up, which the log tells in one line: they do so every day.
"""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from service_kit.access import client_gone
from service_kit.errors import BadRequest, ServiceError
from service_kit.middlewares import from_aiohttp, refusal


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
        """The answer where there is no other. Raises ConnectionError when one has begun already."""
        super().handle_error(request, status, exc, message)  # logs
        assert isinstance(request, web.Request)
        if isinstance(exc, HttpProcessingError):
            error: ServiceError = BadRequest(f"the request is no valid HTTP: {_first_line(exc)}")
        else:
            error = ServiceError("an internal error; the log has it")
        response = refusal(request, error)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log an accident whole, and what clients do wrong in a line."""
        cause = options.get("exc_info")
        if isinstance(cause, ConnectionError | HttpProcessingError):
            self.logger.info(f"{args[0]}: %s", *args[1:], _first_line(cause))  # noqa: G004
        else:
            super().log_exception(*args, **options)


class Server(web.Server):
    """Makes a Connection for every client."""

    @classmethod
    def like(cls, made: web.Server) -> "Server":
        """A server with the handler and the options of the one that aiohttp made."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await made.request_handler(request)
            except asyncio.CancelledError:
                client_gone(request)
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
    said = error.message if isinstance(error, HttpProcessingError) else str(error)
    return (said.splitlines() or [type(error).__name__])[0]
