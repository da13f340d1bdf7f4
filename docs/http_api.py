"""The page about the HTTP API, from the OpenAPI document."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from docs.error_list import anchor
from docs.openapi import document

Json = Mapping[str, Any]

_BAD = 400


def http_api() -> str:
    """Every request, with its parameters, body and responses, and the objects in them."""
    api = document()
    chain = {f"#/components/parameters/{name}" for name in api["components"]["parameters"]}
    parts = [_INTRODUCTION]
    for tag in api["tags"]:
        parts.append(f"## {tag['name']}")
        for path, methods in api["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    parts += _operation(method.upper(), f"/v1{path}", operation, chain)
    parts.append("## Objects")
    for name, schema in api["components"]["schemas"].items():
        parts += _object(name, schema)
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """\
# HTTP API

Paths work without `/v1`, too, and `HEAD` works wherever `GET` does. Send a key as `Authorization: Bearer KEY`. Where
only this machine reaches the service, nobody needs one, except for keys, spaces, the audit trail and usage.

Every response has `API-Version` and `X-Request-ID`. [Errors](errors.md) look the same everywhere. The service shows
all of this at `/docs`, where you can try each request, and serves it as OpenAPI 3.1 at `/openapi.json`."""


def _operation(method: str, path: str, operation: Json, chain: set[str]) -> Iterator[str]:
    yield f"### {operation['summary']}"
    yield f"`{method} {path}`"
    if text := operation.get("description"):
        yield text
    given = operation["parameters"]
    named = [each for each in given if "$ref" not in each]
    if named:
        rows = [(f"`{each['name']}`", each["in"], _kind(each["schema"]), each["description"]) for each in named]
        yield _table(("parameter", "in", "type", "meaning"), rows)
    if any(each.get("$ref") in chain for each in given):
        yield "Any [operations](operations.md), in the query, in the order in which they run."
    if body := operation.get("requestBody"):
        yield from _body(body["content"])
    yield _responses(operation["responses"])


def _body(content: Json) -> Iterator[str]:
    if "application/json" in content:
        yield f"The body is JSON: {_kind(content['application/json']['schema'])}."
        return
    form = content["multipart/form-data"]["schema"]
    rows = [
        (f"`{name}`", "a file" if field.get("format") == "binary" else "text", field["description"])
        for name, field in form["properties"].items()
    ]
    raw = ", ".join(f"`{media_type}`" for media_type in content if media_type.startswith("image/"))
    yield f"The body is the image itself ({raw}), or a form (`multipart/form-data`):"
    yield _table(("field", "type", "meaning"), rows)


def _responses(responses: Json) -> str:
    good = [(status, answer) for status, answer in responses.items() if int(status) < _BAD]
    rows = [(f"{status} {HTTPStatus(int(status)).phrase}", _answer(answer)) for status, answer in good]
    errors = [HTTPStatus(int(status)) for status in responses if int(status) >= _BAD]
    bad = ", ".join(f"[{int(each)}]({anchor(each)})" for each in errors if each != HTTPStatus.INTERNAL_SERVER_ERROR)
    return f"{_table(('response', 'meaning'), rows)}\n\nErrors: {bad}."


def _answer(answer: Json) -> str:
    content = answer.get("content", {})
    body = f" Body: {_kind(content['application/json']['schema'])}." if "application/json" in content else ""
    return f"{answer['description']}{body}"


def _object(name: str, schema: Json) -> Iterator[str]:
    yield f"### {name}"
    if text := schema.get("description"):
        yield " ".join(text.split())
    if "properties" in schema:
        required = set(schema.get("required", []))
        rows = [
            (f"`{field}`", _kind(about) + ("" if field in required else ", optional"), _meaning(about))
            for field, about in schema["properties"].items()
        ]
        yield _table(("field", "type", "meaning"), rows)
    elif "enum" in schema:
        yield f"One of {_kind(schema)}."


_LIMITS = (
    ("minimum", "At least {:,}."),
    ("maximum", "At most {:,}."),
    ("maxLength", "At most {:,} characters."),
    ("maxItems", "At most {:,}."),
)


def _meaning(schema: Json) -> str:
    text = schema.get("description", "")
    ended = text if not text or text.endswith(".") else f"{text}."
    return " ".join([ended, *(words.format(schema[name]) for name, words in _LIMITS if schema.get(name))]).strip()


def _kind(schema: Json) -> str:
    """The type of a value, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    names = {"string": "text", "integer": "integer", "number": "number", "boolean": "`true` or `false`"}
    names |= {"object": "object", "null": "`null`"}
    return {"date-time": "time (RFC 3339)"}.get(schema.get("format", ""), names.get(schema.get("type", ""), "any"))


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(
        f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )
