"""The OpenAPI document, from the descriptions of routes."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

import imgsvc
import storage_service.app
import transform_service.app
from docs.api_responses import PROBLEM, components, error_responses, problems, response
from docs.chain_schema import MOST_OPERATIONS, operation_schema, standard
from imaging.formats import EXTENSIONS, FORMATS
from service_kit.access import SPACE_PATTERN, Scope
from service_kit.http import access, paths
from service_kit.http.endpoints import IMAGE_ID_PATTERN, Answer, Endpoint, Form, Parameter, described
from transform_service.aliases import PARTS, RENAMED, Alias
from transform_service.chain import PRESET
from transform_service.http.negotiation import AUTO
from transform_service.operations.base import Operation, load_operations
from transform_service.sources.base import load_sources

Json = dict[str, Any]

_SERVERS = [{"url": "v1", "description": "This service."}]
"""Relative to the document, so that it is right below any path."""
_PATH_PARAMETERS = {
    "image_id": ("The ID that the upload returned.", {"type": "string", "pattern": IMAGE_ID_PATTERN}),
    "extension": (
        f"The format; `{AUTO}`: the best one that the client shows.",
        {"type": "string", "enum": [*EXTENSIONS, AUTO]},
    ),
    "key_id": ("The ID of a key, as in the list of keys.", {"type": "string", "pattern": "^[0-9a-f]{12}$"}),
    "webhook_id": ("The ID of a webhook, as in the list.", {"type": "string", "pattern": "^[0-9a-f]{12}$"}),
    "event_id": ("The ID of an event that has failed.", {"type": "string", "pattern": "^evt_[0-9a-f]{24}$"}),
    "deletion_id": ("The ID of a deletion.", {"type": "string", "pattern": "^[0-9a-f]{16}$"}),
    "name": (
        "A name, with slashes between its parts, such as `shop/hero.jpg`.",
        {"type": "string", "pattern": "^[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,60}$"},
    ),
    "space": ("The name of a space.", {"type": "string", "pattern": SPACE_PATTERN}),
}
_TAGS = {
    "images": "Images",
    "names": "Names",
    "deletions": "Deletions",
    "transform": "Transforming",
    "uploads": "Uploads from browsers",
    "sign": "Signed URLs",
    "keys": "Keys",
    "spaces": "Spaces",
    "audit": "Audit trail",
    "usage": "Usage",
    "me": "Who asks",
    "webhooks": "Webhooks",
}


def document() -> Json:
    """The OpenAPI document (version 3.1)."""
    found: dict[str, dict[str, list[tuple[Endpoint, Scope | None]]]] = {}
    routes = [*storage_service.app.public_routes(), *transform_service.app.public_routes()]
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
            "schemas": {**_models(endpoints), **problems()},
            "parameters": dict(_chain_parameters()),
            **components(),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key, or an upload token for uploads."},
            },
        },
    }


_INTRODUCTION = f"""\
Upload an image, get an ID, and from then on any size, format or treatment is a URL. **Operations run in the order in
which the query names them**, and a name may repeat, which this document cannot express: `?rotate=90&thumb=300` is
another picture than `?thumb=300&rotate=90`. A chain has at most {MOST_OPERATIONS} operations, unless the service is
configured otherwise.

`HEAD` works wherever `GET` does. Paths work without `/v1`, too. Errors are `{PROBLEM}` (RFC 9457); their `detail` says
what is wrong, and what to do instead. Where only this machine reaches the service, nobody needs a key, except for keys,
spaces, the audit trail, usage and webhooks.
"""


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
            **{str(int(status)): response(answer) for status, answer in sorted(answers.items())},
            **error_responses(endpoints, scope, has_body=bool(body)),
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
    properties = [*operation_schema(cls)["properties"].items()][1:]
    if not properties:
        return {"type": "string", "enum": ["", "1", "true"]}
    if len(properties) > 1:
        return {"type": "string"}
    ((_, schema),) = properties
    return {name: value for name, value in schema.items() if name not in {"title", "default"}}


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
    if endpoint.body.instead:
        schema = {"$ref": f"#/components/schemas/{endpoint.body.instead.__name__}"}
        raw = {"application/json": {"schema": schema}, **raw}
    return {"required": True, "content": {"multipart/form-data": {"schema": form}, **raw}}


def _field(text: str, *, is_file: bool) -> Json:
    # An empty example, since viewers fill in every field that has none.
    return {"type": "string", "description": text, **({"format": "binary"} if is_file else {"examples": [""]})}


def _models(endpoints: Iterable[Endpoint]) -> Json:
    wanted: dict[tuple[type[BaseModel], str], None] = {}
    for endpoint in endpoints:
        body = endpoint.body.instead if isinstance(endpoint.body, Form) else endpoint.body
        if body:
            wanted[body, "validation"] = None
        for answer in endpoint.answers.values():
            if answer.body:
                wanted[answer.body, "serialization"] = None
    _, schema = models_json_schema([*wanted], ref_template="#/components/schemas/{model}")  # type: ignore[list-item]
    return dict(sorted(standard(schema["$defs"]).items()))
