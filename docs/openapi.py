"""The OpenAPI document and the JSON Schema of chains, from routes, operations, settings and errors."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

import imgsvc
import storage_service.app
import transform_service.http.handlers
from imaging.formats import EXTENSIONS, FORMATS
from service_kit import errors
from service_kit.access import SPACE_PATTERN, Scope
from service_kit.http import access, paths
from service_kit.http.endpoints import IMAGE_ID_PATTERN, Answer, Endpoint, Form, Parameter, described
from transform_service.aliases import PARTS, RENAMED, Alias
from transform_service.chain import PRESET
from transform_service.http.negotiation import AUTO
from transform_service.operations.base import Operation, load_operations
from transform_service.settings import TransformSettings
from transform_service.sources.base import load_sources

Json = dict[str, Any]

_SERVERS = [{"url": "v1", "description": "This service, with the version of the API."}]
"""Relative to the document, so that it is right below any path."""
_MOST_OPERATIONS = TransformSettings.model_fields["max_operations"].default
_PROBLEM = "application/problem+json"
_PATH_PARAMETERS = {
    "image_id": ("The ID that the upload returned.", {"type": "string", "pattern": IMAGE_ID_PATTERN}),
    "extension": (
        f"The format; `{AUTO}`: the best one that the client shows.",
        {"type": "string", "enum": [*EXTENSIONS, AUTO]},
    ),
    "key_id": ("The ID of a key, as in the list of keys.", {"type": "string", "pattern": "^[0-9a-f]{12}$"}),
    "space": ("The name of a space.", {"type": "string", "pattern": SPACE_PATTERN}),
}
_TAGS = {
    "images": "Images",
    "transform": "Transforming",
    "uploads": "Uploads from browsers",
    "sign": "Signed URLs",
    "keys": "Keys",
    "spaces": "Spaces",
    "audit": "Audit trail",
    "usage": "Usage",
}
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


def document() -> Json:
    """The OpenAPI document (version 3.1)."""
    found: dict[str, dict[str, list[tuple[Endpoint, Scope | None]]]] = {}
    routes = [*storage_service.app.public_routes(), *transform_service.http.handlers.routes()]
    for route in routes:
        endpoint = described(route.handler)
        assert endpoint, f"{route.method} {route.path} has no description"
        path = _path(route)
        scope = access.scope_of(route.method, f"/v1{path}")
        found.setdefault(path, {}).setdefault(route.method.lower(), []).append((endpoint, scope))
    endpoints = [each for methods in found.values() for described_by in methods.values() for each, _ in described_by]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imgsvc",
            "version": imgsvc.__version__,
            "summary": "Stores images and transforms them on the fly",
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": _SERVERS,
        "tags": [{"name": tag} for tag in _TAGS.values()],
        "paths": {
            path: {method: _operation(path, each) for method, each in methods.items()}
            for path, methods in found.items()
        },
        "components": {
            "schemas": {**_models(endpoints), **_problems()},
            "parameters": dict(_chain_parameters()),
            "headers": {name: _header(*about) for name, about in _all_headers().items()},
            "responses": {name: _problem_response(group) for name, group in _by_status(_all_errors()).items()},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key, or an upload token for uploads."},
            },
        },
    }


_INTRODUCTION = f"""\
Upload an image, get an ID, and from then on any size, format or treatment is a URL. **Operations run in the order in
which the query names them**, and a name may repeat, which this document cannot express: `?rotate=90&thumb=300` is
another picture than `?thumb=300&rotate=90`. A chain has at most {_MOST_OPERATIONS} operations, unless the service is
configured otherwise.

`HEAD` works wherever `GET` does. Paths work without `/v1`, too. Errors are `{_PROBLEM}` (RFC 9457); their `detail` says
what is wrong, and what to do instead. Where only this machine reaches the service, nobody needs a key, except for keys,
spaces, the audit trail and usage.
"""


def chain_schema() -> Json:
    """A JSON Schema of chains, as lists of operations with named arguments."""
    operations = load_operations()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Chain",
        "description": "Operations in the order in which they run. In a URL, each is `operation=arguments`, with the "
        "arguments in the order of this schema, separated by commas.",
        "type": "array",
        "maxItems": _MOST_OPERATIONS,
        "items": {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in sorted(operations)]},
        "$defs": {name: _operation_schema(operations[name]) for name in sorted(operations)},
    }


def _path(route: web.RouteDef) -> str:
    canonical = web.UrlDispatcher().add_resource(route.path).canonical
    return paths.route_pattern(canonical).removeprefix("/v1")


def _operation(path: str, described_by: list[tuple[Endpoint, Scope | None]]) -> Json:
    """Both services may answer the same path: then the description is that of both together."""
    endpoints = [endpoint for endpoint, _ in described_by]
    first, scope = described_by[0]
    texts = [text for endpoint in endpoints if (text := endpoint.text)]
    if scope:
        texts.append(f"Requires a key with the scope `{scope}`.")
    answers: dict[int, Answer] = {}
    for endpoint in endpoints:
        answers = {**endpoint.answers, **answers}
    body = _body(first)
    operation: Json = {
        "operationId": first.name,
        "summary": first.summary,
        **({"description": "\n\n".join(texts)} if texts else {}),
        "tags": [_TAGS[path.split("/")[1]]],
        "parameters": [*_path_parameters(path), *_parameters(endpoints)],
        **({"requestBody": body} if body else {}),
        "responses": {
            **{str(int(status)): _response(answer) for status, answer in sorted(answers.items())},
            **_error_responses(endpoints, scope, has_body=bool(body)),
        },
    }
    if path.endswith("/healthcheck"):
        operation["security"] = []
    else:
        operation["security"] = [{"key": []}] if scope is Scope.ADMIN else [{"key": []}, {}]
    return operation


def _path_parameters(path: str) -> Iterator[Json]:
    for name in re.findall(r"\{(\w+)\}", path):
        text, schema = _PATH_PARAMETERS[name]
        yield {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _parameters(endpoints: Iterable[Endpoint]) -> Iterator[Json]:
    seen: set[str] = set()
    for endpoint in endpoints:
        query = [*endpoint.query]
        if endpoint.names_source and not endpoint.body:
            query = [*_sources(in_url=True), *query]
        for place, parameters in (("query", query), ("header", endpoint.headers)):
            for parameter in parameters:
                if parameter.name not in seen:
                    seen.add(parameter.name)
                    schema = TypeAdapter(parameter.kind).json_schema()
                    yield {"name": parameter.name, "in": place, "description": parameter.text, "schema": schema}
        if endpoint.takes_chain:
            yield from ({"$ref": f"#/components/parameters/{name}"} for name, _ in _chain_parameters())


def _sources(*, in_url: bool) -> list[Parameter]:
    return [
        Parameter(name, " ".join((source.__doc__ or "").split()))
        for name, source in load_sources().items()
        if source.in_url or not in_url
    ]


def _chain_parameters() -> Iterator[tuple[str, Json]]:
    """Operations and aliases, by their name in a query."""
    for name, cls in sorted(load_operations().items()):
        # In the text, and not as `examples`: viewers would fill in one of each operation.
        examples = ", ".join(f"`{example}`" for example in cls.examples)
        text = f"{' '.join((cls.__doc__ or '').split())} Examples: {examples}."
        yield name, _chain_parameter(name, text, _text_schema(cls))
    yield PRESET, _chain_parameter(PRESET, "Inserts the operations of a preset, which the service configures.")
    for alias in (*PARTS.values(), *RENAMED):
        for name in alias.names:
            text = f"As in other services; becomes `{alias.of}`. Example: `{_example(name, alias)}`."
            yield name, _chain_parameter(name, text)


def _example(name: str, alias: Alias) -> str:
    """The example of an alias with this of its names."""
    return re.sub(rf"(^|&)({'|'.join(alias.names)})=", rf"\1{name}=", alias.example)


def _chain_parameter(name: str, text: str, schema: Json | None = None) -> Json:
    return {"name": name, "in": "query", "description": text, "schema": schema or {"type": "string"}}


def _text_schema(cls: type[Operation]) -> Json:
    """The schema of the arguments as they are in a query."""
    properties = [*_operation_schema(cls)["properties"].items()][1:]
    if not properties:
        return {"type": "string", "enum": ["", "1", "true"]}
    if len(properties) > 1:
        return {"type": "string"}
    ((_, schema),) = properties
    return {name: value for name, value in schema.items() if name not in {"title", "default"}}


def _operation_schema(cls: type[Operation]) -> Json:
    schema = _standard(cls.model_json_schema())
    return {
        "title": cls.name,
        "description": " ".join((cls.__doc__ or "").split()),
        "type": "object",
        "properties": {"operation": {"const": cls.name}, **schema["properties"]},
        "required": ["operation", *schema.get("required", [])],
        "additionalProperties": False,
    }


_STANDARD = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}


def _standard(schema: Any) -> Any:
    """A schema in which limits have their standard names: behind a validator, pydantic writes those of Python."""
    if isinstance(schema, list):
        return [_standard(each) for each in schema]
    if isinstance(schema, dict):
        return {_STANDARD.get(name, name): _standard(each) for name, each in schema.items()}
    return schema


def _body(endpoint: Endpoint) -> Json | None:
    if endpoint.body is None:
        return None
    if not isinstance(endpoint.body, Form):
        schema = {"$ref": f"#/components/schemas/{endpoint.body.__name__}"}
        schema_of = endpoint.body.model_json_schema()
        is_required = bool(schema_of.get("required") or schema_of.get("minProperties"))
        return {"required": is_required, "content": {"application/json": {"schema": schema}}}
    required = [*endpoint.body.fields][:1]
    fields = {name: (text, name in required) for name, text in endpoint.body.fields.items()}
    if endpoint.names_source:
        fields = {each.name: (each.text, not load_sources()[each.name].in_url) for each in _sources(in_url=False)}
    form = {
        "type": "object",
        "properties": {name: _field(text, is_file=is_file) for name, (text, is_file) in fields.items()},
        **({"required": required} if required else {"minProperties": 1, "maxProperties": 1}),
        "additionalProperties": False,
    }
    raw = {fmt.media_type: {"schema": {"type": "string", "format": "binary"}} for fmt in FORMATS.values()}
    return {"required": True, "content": {"multipart/form-data": {"schema": form}, **raw}}


def _field(text: str, *, is_file: bool) -> Json:
    # An empty example, since viewers fill in every field that has none.
    return {"type": "string", "description": text, **({"format": "binary"} if is_file else {"examples": [""]})}


def _response(answer: Answer) -> Json:
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


def _error_responses(endpoints: list[Endpoint], scope: Scope | None, *, has_body: bool) -> Json:
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
        "content": {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _problems() -> Json:
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


def _models(endpoints: Iterable[Endpoint]) -> Json:
    wanted: dict[tuple[type[BaseModel], str], None] = {}
    for endpoint in endpoints:
        if endpoint.body and not isinstance(endpoint.body, Form):
            wanted[endpoint.body, "validation"] = None
        for answer in endpoint.answers.values():
            if answer.body:
                wanted[answer.body, "serialization"] = None
    _, schema = models_json_schema([*wanted], ref_template="#/components/schemas/{model}")  # type: ignore[list-item]
    return dict(sorted(_standard(schema["$defs"]).items()))
