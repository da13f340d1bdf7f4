"""The JSON Schema of chains, from the operations."""

from typing import Any

from transform_service.operations.base import Operation, load_operations
from transform_service.settings import TransformSettings

Json = dict[str, Any]

MOST_OPERATIONS = TransformSettings.model_fields["max_operations"].default


def chain_schema() -> Json:
    """A JSON Schema of chains, as lists of operations with named arguments."""
    operations = load_operations()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Chain",
        "description": "Operations in the order in which they run. In a URL, each is `operation=arguments`, with the "
        "arguments in the order of this schema, separated by commas.",
        "type": "array",
        "maxItems": MOST_OPERATIONS,
        "items": {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in sorted(operations)]},
        "$defs": {name: operation_schema(operations[name]) for name in sorted(operations)},
    }


def operation_schema(cls: type[Operation]) -> Json:
    """The schema of an operation with named arguments."""
    schema = standard(cls.model_json_schema())
    return {
        "title": cls.name,
        "description": " ".join((cls.__doc__ or "").split()),
        "type": "object",
        "properties": {"operation": {"const": cls.name}, **schema["properties"]},
        "required": ["operation", *schema.get("required", [])],
        "additionalProperties": False,
    }


_STANDARD = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}


def standard(schema: Any) -> Any:
    """A schema in which limits have their standard names: behind a validator, pydantic writes those of Python."""
    if isinstance(schema, list):
        return [standard(each) for each in schema]
    if isinstance(schema, dict):
        return {_STANDARD.get(name, name): standard(each) for name, each in schema.items()}
    return schema
