"""The generated parts of the JavaScript client: its operations and their types."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from docs.chain_schema import chain_schema

_JAVASCRIPT = """\
// The operations. Written by `make docs` from the code of the service; do not edit.

/** What has operations. Each returns what comes out, and leaves this as it is. */
export class Operations {
  /** The operations of a preset that the service configures. */
  preset(name) {
    return this.then_(`preset=${encodeURIComponent(name)}`);
  }

METHODS}

/** The options of an operation. Others would be ignored, and make another picture than was meant. */
function options(operation, given, ...known) {
  if (typeof given !== "object" || given === null) {
    throw new TypeError(`${operation} takes options behind its arguments, such as { ${known[0]}: … }`);
  }
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) throw new TypeError(`${operation} has no option ${name}; use ${known.join(", ")}`);
  }
  return given;
}

function box(width, height) {
  return `${width ?? ""}x${height ?? ""}`;
}

/** The text of an operation, without defaults at its end. Each argument comes with its default. */
function step(name, ...pairs) {
  const given = [...pairs];
  while (given.length && given.at(-1)[0] === given.at(-1)[1]) given.pop();
  const texts = given.map(([value]) => value).filter((value) => value !== null);
  return texts.length ? `${name}=${texts.map(text).join(",")}` : name;
}

function text(value) {
  if (value === undefined) throw new TypeError("an argument is missing");
  if (typeof value !== "number") return encodeURIComponent(value);
  if (!Number.isFinite(value)) throw new TypeError(`${value} is not a number for a picture`);
  return Number.isInteger(value) ? String(value) : value.toFixed(15).replace(/0+$/, "");
}
"""

_TYPES = """\
// The operations. Written by `make docs` from the code of the service; do not edit.

/** What has operations. Each returns what comes out, and leaves this as it is. */
export class Operations<Then> {
  /** The operations of a preset that the service configures. */
  preset(name: string): Then;

METHODS}
"""


def javascript_operations() -> str:
    """The module of the JavaScript client."""
    methods = [_javascript_method(name, each) for name, each in sorted(chain_schema()["$defs"].items())]
    return _JAVASCRIPT.replace("METHODS", "\n".join(methods))


def javascript_types() -> str:
    """The types of that module."""
    methods = [_javascript_type(name, each) for name, each in sorted(chain_schema()["$defs"].items())]
    return _TYPES.replace("METHODS", "\n".join(methods))


@dataclass(frozen=True, slots=True)
class _Signature:
    """The parameters of a method in JavaScript: those that it needs, and options."""

    needed: list[str]
    options: list[str]

    @classmethod
    def of(cls, schema: Mapping[str, Any], parameter: Callable[[str, Mapping[str, Any]], list[str]]) -> "_Signature":
        """The signature for the schema of an operation."""
        fields = {field: each for field, each in schema["properties"].items() if field != "operation"}
        needed = [text for field in fields if field in schema["required"] for text in parameter(field, fields[field])]
        others = [
            text for field in fields if field not in schema["required"] for text in parameter(field, fields[field])
        ]
        return cls(needed, others)


def _javascript_method(name: str, schema: Mapping[str, Any]) -> str:
    signature = _Signature.of(schema, _javascript_parameter)
    options = ["given = {}"] if signature.options else []
    fields = {field: each for field, each in schema["properties"].items() if field != "operation"}
    arguments = ", ".join([f'"{name}"', *(_javascript_argument(field, each) for field, each in fields.items())])
    head = f"  {name}({', '.join([*signature.needed, *options])}) {{"
    names = ", ".join(json.dumps(option.partition(" ")[0]) for option in signature.options)
    taken = f'    const {{ {", ".join(signature.options)} }} = options("{name}", given, {names});\n' if names else ""
    return f"{_comment(schema)}{head}\n{taken}    return this.then_(step({arguments}));\n  }}\n"


def _javascript_type(name: str, schema: Mapping[str, Any]) -> str:
    signature = _Signature.of(schema, _typescript_parameter)
    options = [f"options?: {{ {'; '.join(signature.options)} }}"] if signature.options else []
    return f"{_comment(schema)}  {name}({', '.join([*signature.needed, *options])}): Then;\n"


def _comment(schema: Mapping[str, Any]) -> str:
    return f"  /** {schema['description']} */\n"


def _javascript_parameter(name: str, schema: Mapping[str, Any]) -> list[str]:
    if name == "box":
        return ["width = null", "height = null"] if "?" in schema["pattern"] else ["width", "height"]
    return [f"{name} = {json.dumps(schema['default'])}" if "default" in schema else name]


def _javascript_argument(name: str, schema: Mapping[str, Any]) -> str:
    if name == "box":
        return "[box(width, height), null]"
    if schema.get("type") == "boolean":
        return f'[{name} ? "{name}" : null, null]'
    return f"[{name}, {json.dumps(schema.get('default'))}]"


def _typescript_parameter(name: str, schema: Mapping[str, Any]) -> list[str]:
    if name == "box":
        is_open = "?" in schema["pattern"]
        return [f"{side}?: number | null" if is_open else f"{side}: number" for side in ("width", "height")]
    return [f"{name}{'?' if 'default' in schema else ''}: {_typescript_type(schema)}"]


def _typescript_type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " | ".join("null" if each.get("type") == "null" else _typescript_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(each) for each in schema["enum"])
    return {"integer": "number", "number": "number", "boolean": "boolean", "string": "string"}[schema["type"]]
