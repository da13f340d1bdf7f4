"""The page about errors, from their classes and from the places that raise them."""

import ast
import inspect
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from service_kit import errors

_ROOT = Path(__file__).parent.parent
_PACKAGES = ("service_kit", "imaging", "storage_service", "transform_service")
_CLASSES = {
    name: each for name, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, errors.ServiceError)
}
_LITTLE = 12
"""Letters that a message needs to say something without what is filled in."""


def anchor(status: HTTPStatus) -> str:
    """The link to a status on this page."""
    return f"errors.md#{int(status)}-{status.phrase.lower().replace(' ', '-')}"


def error_list() -> str:
    """Each status, what it means, and its messages."""
    messages = _messages()
    statuses = sorted({each.status for each in _CLASSES.values() if each is not errors.ServiceError})
    return (
        "\n\n".join([_INTRODUCTION, *(_status(status, sorted(messages.get(status, ()))) for status in statuses)]) + "\n"
    )


_INTRODUCTION = """\
# Errors

Errors are `application/problem+json` (RFC 9457). `detail` says what is wrong, where, and what to do instead;
`request_id` finds the request in the logs. Programs should look at the status, since texts may change. 500 is a bug:
report it with the `request_id`. Proxies and the network can cause errors as well: see
[Troubleshooting](production.md#troubleshooting). In these messages, `…` replaces what varies."""


def _status(status: HTTPStatus, messages: list[str]) -> str:
    classes = [each for each in _CLASSES.values() if each.status == status and each.__base__ is errors.ServiceError]
    texts = " ".join(" ".join((each.__doc__ or "").split()) for each in classes)
    retry = " The response has `Retry-After`." if any(each.retry_after for each in classes) else ""
    listed = "\n".join(f"- `` {message} ``" for message in messages)
    return f"## {int(status)} {status.phrase}\n\n{texts}{retry}" + (f"\n\n{listed}" if listed else "")


def _messages() -> dict[HTTPStatus, set[str]]:
    found: dict[HTTPStatus, set[str]] = {}
    for package in _PACKAGES:
        for file in (_ROOT / package).rglob("*.py"):
            for name, message in _raised(ast.parse(file.read_text())):
                found.setdefault(_CLASSES[name].status, set()).add(message)
    return found


def _raised(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            text = _text(node.args[0])
            if name in _CLASSES and sum(map(str.isalpha, text)) >= _LITTLE:
                yield name, text


def _text(node: ast.expr) -> str:
    """A text as it is in the code, with `…` for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("\n", " ")
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return ""
