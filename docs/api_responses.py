"""Responses in the OpenAPI document: good ones with their headers, and those of the error classes."""

import inspect
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from imaging.formats import FORMATS
from service_kit import errors
from service_kit.access import Scope
from service_kit.http.endpoints import Answer, Endpoint

Json = dict[str, Any]

PROBLEM = "application/problem+json"
_ALWAYS = (
    errors.BadRequest,
    errors.Forbidden,
    errors.NotFound,
    errors.MethodNotAllowed,
    errors.RequestTimedOut,
    errors.URITooLong,
    errors.TooManyRequests,
    errors.HeadersTooLarge,
    errors.BadGateway,
    errors.Unavailable,
    errors.GatewayTimeout,
)
"""What any request may get: from a proxy, from the gate, or because of its URL and headers."""
_OF_BODIES = (errors.ContentTooLarge, errors.UnsupportedEncoding, errors.ExpectationFailed)
_HEADERS = {
    "API-Version": ("The version of the API.", {"const": "1"}),
    "X-Request-ID": ("The ID of the request in the log: yours, or a new one.", {"type": "string"}),
}
"""Of every response."""
_IMAGE_HEADERS = {
    "ETag": ("Identifies the picture, byte for byte.", {"type": "string"}),
    "Cache-Control": ("How long caches may keep it: a year, since it never changes, unless configured.", {}),
    "Content-Security-Policy": ("Keeps scripts in the picture from running.", {}),
    "Cross-Origin-Resource-Policy": ("Lets pages of other origins embed it.", {}),
    "Timing-Allow-Origin": ("Lets pages of other origins measure it.", {}),
}
_SOMETIMES = {
    "Server-Timing": ("What took how long, in milliseconds.", {}),
    "X-Cache": ("Whether Varnish had it: `HIT`, `MISS` or `STALE`.", {"enum": ["HIT", "MISS", "STALE"]}),
}
_SOMETIMES_WITH_IMAGE = {
    "Content-Disposition": ("With `download`: the name under which browsers save it.", {}),
    "Vary": ("`Accept` if the format depends on it.", {}),
    "Accept-Ranges": ("`bytes` for an original.", {}),
    "Last-Modified": ("When an original was uploaded.", {}),
    "Cache-Status": ("Whether the result was cached behind Varnish (RFC 9211).", {}),
}


def response(answer: Answer) -> Json:
    """A good response."""
    always = {**_HEADERS, **(_IMAGE_HEADERS if answer.is_image else {})}
    maybe = {**_SOMETIMES, **(_SOMETIMES_WITH_IMAGE if answer.is_image else {})}
    content: Json = {}
    if answer.body:
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer.body.__name__}"}}}
    if answer.is_image:
        content = {fmt.media_type: {} for fmt in FORMATS.values()}
    return {
        "description": answer.text,
        "headers": {
            **{name: {"$ref": f"#/components/headers/{name}"} for name in (*always, *maybe)},
            **{each.name: {**_header(each.text, {"type": "string"}), "required": True} for each in answer.headers},
        },
        **({"content": content} if content else {}),
    }


def _all_headers() -> dict[str, tuple[str, Json]]:
    return {**_HEADERS, **_IMAGE_HEADERS, **_SOMETIMES, **_SOMETIMES_WITH_IMAGE}


def _header(text: str, schema: Json) -> Json:
    always = {about[0] for about in (*_HEADERS.values(), *_IMAGE_HEADERS.values())}
    return {
        "description": text,
        **({"required": True} if text in always else {}),
        "schema": schema or {"type": "string"},
    }


def error_responses(endpoints: list[Endpoint], scope: Scope | None, *, has_body: bool) -> Json:
    """The errors of an operation, by status, as references to components."""
    named = {error for endpoint in endpoints for error in endpoint.errors}
    if has_body:
        named |= {*_OF_BODIES}
    if scope:
        named |= {errors.Unauthorized}
    statuses = sorted({error.status for error in (*_ALWAYS, *named)} | {HTTPStatus.INTERNAL_SERVER_ERROR})
    return {str(int(status)): {"$ref": f"#/components/responses/{_name(status)}"} for status in statuses}


def _all_errors() -> list[type[errors.ServiceError]]:
    classes = (each for _, each in inspect.getmembers(errors, inspect.isclass))
    return [each for each in classes if issubclass(each, errors.ServiceError)]


def _by_status(classes: Iterable[type[errors.ServiceError]]) -> Mapping[str, list[type[errors.ServiceError]]]:
    groups: dict[HTTPStatus, list[type[errors.ServiceError]]] = {}
    for each in sorted(classes, key=lambda each: (each.status, each.__name__)):
        groups.setdefault(each.status, []).append(each)
    return {_name(status): group for status, group in groups.items()}


def _name(status: HTTPStatus) -> str:
    return re.sub(r"\W", "", status.phrase.title())


def _problem_response(group: list[type[errors.ServiceError]]) -> Json:
    # Their subclasses are about what the service does, and not about what clients see.
    texts = [" ".join((each.__doc__ or "").split()) for each in group if each.__base__ is errors.ServiceError]
    status = group[0].status
    headers = {
        **_HEADERS,
        "Cache-Control": ("`no-store`; 404 and 410 may be kept for some seconds.", {"type": "string"}),
    }
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = ("How to send a key.", {"type": "string"})
    if any(each.retry_after for each in group) or status == HTTPStatus.TOO_MANY_REQUESTS:
        headers["Retry-After"] = ("Seconds after which the same request may succeed.", {"type": "integer"})
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        headers["Content-Range"] = ("The size of the image, such as `bytes */20480`.", {"type": "string"})
    return {
        "description": " ".join(texts) or "A bug: report it with the ID of the request.",
        "headers": {name: _header(*about) for name, about in headers.items()},
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def problems() -> Json:
    """The schema of errors."""
    text = {"type": "string"}
    return {
        "Problem": {
            "description": "An error (RFC 9457).",
            "type": "object",
            "properties": {
                "type": {"const": "about:blank"},
                "title": {**text, "description": "The name of the status."},
                "status": {"type": "integer"},
                "detail": {**text, "description": "What is wrong, where, and what to do instead."},
                "error": {**text, "description": "The same, for clients of the first API."},
                "request_id": text,
            },
            "required": ["type", "title", "status", "detail", "error", "request_id"],
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Bad Request",
                    "status": 400,
                    "detail": "unknown operation 'thum'; did you mean 'thumb'?",
                    "error": "unknown operation 'thum'; did you mean 'thumb'?",
                    "request_id": "5e2f0c",
                }
            ],
        }
    }


def components() -> Json:
    """The headers and the errors that operations refer to."""
    return {
        "headers": {name: _header(*about) for name, about in _all_headers().items()},
        "responses": {name: _problem_response(group) for name, group in _by_status(_all_errors()).items()},
    }
