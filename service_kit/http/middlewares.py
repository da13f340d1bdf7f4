"""What all responses have in common: request ID, version, safety headers, and problem+json for errors."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from service_kit.errors import ServiceError
from service_kit.http.identity import request_id_of
from service_kit.http.problems import from_aiohttp, no_such_path, problem_response
from service_kit.http.timing import spans_of
from service_kit.observing import spans
from service_kit.observing.logging import request_id as logged_request_id

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SERVER = "imgsvc"
"""Instead of aiohttp's header, which tells everybody which versions to attack."""

_EXPOSED = (
    "API-Version, Content-Disposition, Content-Range, ETag, Location, Retry-After, Server-Timing, WWW-Authenticate,"
    " X-Cache, X-Request-ID"
)
"""What pages of other origins may read of a response, besides what they may anyway."""

logger = logging.getLogger(__name__)


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Make the request's ID and spans available to the log and to use cases, which do not know HTTP."""
    logged_request_id.set(request_id_of(request))
    spans.start(spans_of(request))
    return await handler(request)


@web.middleware
async def explain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with problem+json. A bug is logged with its traceback; the client gets one sentence."""
    try:
        return await handler(request)
    except ServiceError as error:
        if error.status >= web.HTTPInternalServerError.status_code:
            logger.log(error.level, "%s: %s%s", _named(request), error, _cause(error))
        return problem_response(request, error)
    except web.HTTPException as error:
        if error.status < web.HTTPBadRequest.status_code:
            raise
        return problem_response(request, from_aiohttp(request, error), error.headers)
    except (ConnectionResetError, asyncio.CancelledError):  # the client hung up
        raise
    except Exception:
        logger.exception("%s failed", _named(request))
        return problem_response(request, ServiceError("internal error; report it with this request ID"))


@web.middleware
async def refuse_escapes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse percent escapes in a path. The API needs none, and nginx and aiohttp interpret them differently."""
    if "%" in request.raw_path.partition("?")[0]:
        raise no_such_path(request)
    return await handler(request)


MIDDLEWARES = (identify, explain_errors, refuse_escapes)


def refusal(request: web.Request, error: ServiceError) -> web.Response:
    """The response to a request that never reached the middlewares and signal handlers."""
    response = problem_response(request, error)
    _add_headers(request, response)
    return response


async def add_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the common headers; a signal handler, so that streamed responses get them too."""
    _add_headers(request, response)


def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["API-Version"] = "1"
    response.headers["Server"] = _SERVER
    response.headers["X-Request-ID"] = request_id_of(request)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    if timing := str(spans_of(request)):
        response.headers["Server-Timing"] = timing


def _named(request: web.Request) -> str:
    """The request for a log line. The path is quoted, since it may contain anything."""
    return f"{request.method} {request.path[:200]!r} ({request_id_of(request)})"


def _cause(error: ServiceError) -> str:
    """One line about the error that caused `error`; empty if there was none."""
    if error.__cause__ is None:
        return ""
    text = str(error.__cause__).splitlines() or [""]
    return f", because of {type(error.__cause__).__name__}: {text[0][:300]}"


def setup(app: web.Application) -> None:
    """Give `app` the common middlewares and headers."""
    app.middlewares.extend(MIDDLEWARES)
    app.on_response_prepare.append(add_common_headers)
