"""Error responses: problem+json (RFC 9457)."""

import json
from http import HTTPStatus

from aiohttp import web
from multidict import CIMultiDict

from service_kit.errors import BadRequest, Hidden, MethodNotAllowed, NotFound, ServiceError, WrongCredential
from service_kit.http.identity import request_id_of

PATH_PREFIX = web.AppKey("PATH_PREFIX", str)
"""The path in front of all routes, if there is one."""
REFUSED_HEADER = "X-Refused"
"""Tells Varnish to count a wrong key or signature (varnish/access.vcl), which removes this header."""
_NEGATIVE_CACHE_SECONDS = 10


def problem_response(
    request: web.Request, error: ServiceError, extra: "CIMultiDict[str] | None" = None
) -> web.Response:
    """The response for `error`. Keeps those of the `extra` headers that explain the error."""
    headers = {"Cache-Control": "no-store"}
    if error.status in {404, 410} and not isinstance(error, Hidden):
        headers["Cache-Control"] = f"public, max-age={_NEGATIVE_CACHE_SECONDS}"
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="imgsvc"'
    if isinstance(error, WrongCredential):
        headers[REFUSED_HEADER] = "credential"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    for name in ("Allow", "Content-Range"):
        if extra and name in extra:
            headers[name] = extra[name]
    response = web.Response(
        status=error.status,
        body=json.dumps(error.problem(request_id_of(request))).encode(),
        content_type="application/problem+json",
        headers=headers,
    )
    if request.content.exception():  # it is unclear where a broken body ends and the next request begins
        response.force_close()
    return response


def from_aiohttp(request: web.Request, error: web.HTTPException) -> ServiceError:
    """Translate one of aiohttp's errors into a ServiceError."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return MethodNotAllowed(f"{request.method} is not allowed here; use one of: {allowed}")
    if isinstance(error, web.HTTPNotFound):
        return no_such_path(request)
    translated = BadRequest(error.text or error.reason)
    translated.status = type(translated.status)(error.status)
    return translated


def no_such_path(request: web.Request) -> NotFound:
    """The error for a path outside the API."""
    prefix = request.app.get(PATH_PREFIX, "")
    path = request.path[:200]
    if request.path.endswith("/") and request.path != f"{prefix}/":
        return NotFound(
            f"the path {path!r} does not exist; remove the slash at its end, or see the reference at {prefix}/docs"
        )
    return NotFound(
        f"the path {path!r} does not exist; the API is at {prefix}/v1/images and {prefix}/v1/transform, its reference"
        f" at {prefix}/docs, and the console at {prefix}/console"
    )
