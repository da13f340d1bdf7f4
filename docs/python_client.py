"""The generated parts of the Python client: its operations, and the client without asyncio."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docs.chain_schema import chain_schema

_PYTHON_CLIENT = Path(__file__).parents[1] / "clients/python/imgsvc_client"
_PYTHON = '''\
"""The operations. Written by `make docs` from the code of the service; do not edit."""

from decimal import Decimal
from typing import Generic, Literal, TypeVar
from urllib.parse import quote

Then = TypeVar("Then")


class Operations(Generic[Then]):
    """What has operations. Each returns what comes out, and leaves this as it is."""

    def _then(self, step: str) -> Then:
        raise NotImplementedError

    def preset(self, name: str) -> Then:
        """The operations of a preset that the service configures."""
        return self._then(f"preset={quote(name, safe='')}")

METHODS

def _box(name: str, width: int | None, height: int | None) -> str:
    return f"{_whole(f'{name}: width', width) or ''}x{_whole(f'{name}: height', height) or ''}"


def _number(name: str, value: float | None) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, not {value!r}") from None


def _whole(name: str, value: int | None) -> int | None:
    if value is None:
        return None
    if not _text(value).isdecimal():
        raise ValueError(f"{name} must be a whole number of 0 or more, not {value!r}")
    return int(_text(value))


def _step(name: str, *arguments: tuple[object, object]) -> str:
    """The text of an operation, without defaults at its end. Each argument comes with its default."""
    given = [*arguments]
    while given and given[-1][0] == given[-1][1]:
        given.pop()
    texts = [_text(value) for value, _ in given if value is not None]
    return f"{name}={','.join(texts)}" if texts else name


def _text(value: object) -> str:
    if isinstance(value, float):
        text = f"{Decimal(repr(value)):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return quote(str(value), safe="")
'''


def python_operations() -> str:
    """The module of the Python client."""
    methods = [_python_method(name, each) for name, each in sorted(chain_schema()["$defs"].items())]
    return formatted(_PYTHON.replace("METHODS\n", "\n".join(methods)))


def _python_method(name: str, schema: Mapping[str, Any]) -> str:
    fields = {field: each for field, each in schema["properties"].items() if field != "operation"}
    required = [field for field in fields if field in schema["required"]]
    positional = [text for field in required for text in _python_parameter(field, fields[field])]
    named = [text for field in fields if field not in required for text in _python_parameter(field, fields[field])]
    signature = ", ".join(["self", *positional, *(["*", *named] if named else [])])
    arguments = ", ".join(_python_argument(name, field, each) for field, each in fields.items())
    head = f"    def {name}({signature}) -> Then:"
    if len(head) > 120:  # noqa: PLR2004
        head = f"    def {name}(\n        {signature}\n    ) -> Then:"
    text = "\n".join(_wrapped(schema["description"]))
    step = ", ".join(filter(None, [f'"{name}"', arguments]))
    return f'{head}\n        """{text}"""\n        return self._then(_step({step}))\n'


def _wrapped(text: str) -> Iterator[str]:
    """The first sentence, then the rest below it."""
    first, _, rest = text.partition(". ")
    yield first + ("." if rest else "")
    if rest:
        yield ""
        line = "       "
        for word in rest.split(" "):
            if len(line) + len(word) > 118:  # noqa: PLR2004
                yield line
                line = "       "
            line += f" {word}"
        yield line
        yield "        "


def _python_parameter(name: str, schema: Mapping[str, Any]) -> list[str]:
    if name == "box":
        # The pattern of an open box accepts one without a height.
        open_box = "?" in schema["pattern"]
        return [f"{side}: int | None = None" if open_box else f"{side}: int" for side in ("width", "height")]
    default = f" = {schema['default']!r}" if "default" in schema else ""
    return [f"{name}: {_python_type(schema)}{default}"]


def _python_type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " | ".join("None" if each.get("type") == "null" else _python_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return f"Literal[{', '.join(map(repr, schema['enum']))}]"
    return {"integer": "int", "number": "float", "boolean": "bool", "string": "str"}[schema["type"]]


def _python_argument(operation: str, name: str, schema: Mapping[str, Any]) -> str:
    if name == "box":
        return f'(_box("{operation}", width, height), None)'
    if schema.get("type") == "boolean":
        return f'("{name}" if {name} else None, None)'
    types = {each.get("type") for each in schema.get("anyOf", [schema])}
    check = "_number" if "number" in types else "_whole" if "integer" in types else None
    value = f'{check}("{operation}: {name}", {name})' if check else name
    return f"({value}, {schema.get('default')!r})"


_SYNCHRONOUS = (
    ("with asyncio", "without asyncio; written by `make docs` from async_client.py"),
    ("Tasks may", "Threads may"),
    ("async def ", "def "),
    ("await ", ""),
    ("AsyncIterator", "Iterator"),
    ("AsyncClient", "Client"),
    ("AsyncTransport", "SyncTransport"),
    ("_async_transport", "_sync_transport"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
)


def python_client() -> str:
    """The client without asyncio."""
    text = (_PYTHON_CLIENT / "async_client.py").read_text()
    for asynchronous, synchronous in _SYNCHRONOUS:
        text = text.replace(asynchronous, synchronous)
    return formatted(text)


def formatted(text: str) -> str:
    """Python as ruff formats it."""
    command = [sys.executable, "-m", "ruff", "format", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
