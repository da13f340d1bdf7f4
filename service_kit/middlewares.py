"""What every answer of every service has: request id, version, safety headers, problem+json for errors."""

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable

from aiohttp import web
from multidict import CIMultiDict

from service_kit.errors import BadRequest, MethodNotAllowed, NotFound, ServiceError, URITooLong
from service_kit.logging import request_id as logged_request_id
from service_kit.paths import MAX_URL
from service_kit.spans import spans_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_ID = web.RequestKey("REQUEST_ID", str)
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NEGATIVE_CACHE_SECONDS = 10

logger = logging.getLogger(__name__)


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id: the client's when it is sane, else a new one."""
    request[REQUEST_ID] = _request_id(request)
    logged_request_id.set(request[REQUEST_ID])
    spans_of(request)  # starts the watch
    return await handler(request)


@web.middleware
async def explain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as problem+json; a bug is logged whole and told in one sentence."""
    try:
        return await handler(request)
    except ServiceError as error:
        if error.status >= web.HTTPInternalServerError.status_code:
            logger.log(error.level, "%s: %s%s", _named(request), error, _because(error))
        return problem_response(request, error)
    except web.HTTPException as error:
        if error.status < web.HTTPBadRequest.status_code:
            raise
        return problem_response(request, from_aiohttp(request, error), error.headers)
    except (ConnectionResetError, asyncio.CancelledError):  # the client is gone: nobody to answer
        raise
    except Exception:
        logger.exception("%s failed", _named(request))
        return problem_response(request, ServiceError("an internal error; the log has it under this request id"))


@web.middleware
async def bound_url(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse URLs longer than any real chain."""
    if len(request.raw_path) > MAX_URL:
        raise URITooLong(f"the URL has {len(request.raw_path)} bytes, {MAX_URL} are allowed")
    return await handler(request)


@web.middleware
async def refuse_escapes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a path with percent escapes: none of this API needs one, and nginx and aiohttp read them differently."""
    if "%" in request.raw_path.partition("?")[0]:
        raise _nothing_at(request)
    return await handler(request)


MIDDLEWARES = (identify, explain_errors, bound_url, refuse_escapes)


def problem_response(
    request: web.Request, error: ServiceError, extra: "CIMultiDict[str] | None" = None
) -> web.Response:
    """The answer for `error`."""
    headers = {"Cache-Control": "no-store"}
    if error.status in {404, 410}:
        headers["Cache-Control"] = f"public, max-age={_NEGATIVE_CACHE_SECONDS}"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    for name in ("Allow", "Content-Range"):
        if extra and name in extra:
            headers[name] = extra[name]
    response = web.Response(
        status=error.status,
        body=json.dumps(error.problem(request[REQUEST_ID])).encode(),
        content_type="application/problem+json",
        headers=headers,
    )
    if request.content.exception():  # where a broken body ends nobody knows: nothing can follow it
        response.force_close()
    return response


def refusal(request: web.Request, error: ServiceError) -> web.Response:
    """The answer to a request that came to no middleware and no signal handler."""
    request[REQUEST_ID] = _request_id(request)
    response = problem_response(request, error)
    _add_headers(request, response)
    return response


async def add_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """The headers that every answer carries; a signal handler, so that streamed answers have them too."""
    _add_headers(request, response)


def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["API-Version"] = "1"
    response.headers["X-Request-ID"] = request.get(REQUEST_ID, "")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Timing-Allow-Origin"] = "*"
    if timing := str(spans_of(request)):
        response.headers["Server-Timing"] = timing


def _named(request: web.Request) -> str:
    """The request in a log line, quoted: a path may hold anything."""
    return f"{request.method} {request.path[:200]!r} ({request[REQUEST_ID]})"


def _because(error: ServiceError) -> str:
    """What a foreign error said, in one line; empty where there was none."""
    if error.__cause__ is None:
        return ""
    said = str(error.__cause__).splitlines() or [""]
    return f", because of {type(error.__cause__).__name__}: {said[0][:300]}"


def _request_id(request: web.Request) -> str:
    given = request.headers.get("X-Request-ID", "")
    return given if _SANE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def from_aiohttp(request: web.Request, error: web.HTTPException) -> ServiceError:
    """One of aiohttp's own errors as one of ours."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return MethodNotAllowed(f"{request.method} is not possible here; possible: {allowed}")
    if isinstance(error, web.HTTPNotFound):
        return _nothing_at(request)
    translated = BadRequest(error.text or error.reason)
    translated.status = type(translated.status)(error.status)
    return translated


def _nothing_at(request: web.Request) -> NotFound:
    return NotFound(f"there is nothing at {request.path[:200]!r}; the API stands under /v1/images and /v1/transform")


def setup(app: web.Application) -> None:
    """Give `app` the common middlewares and headers."""
    app.middlewares.extend(MIDDLEWARES)
    app.on_response_prepare.append(add_common_headers)
