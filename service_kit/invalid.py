"""What is wrong with a value, in our words instead of pydantic's."""

from pydantic_core import ErrorDetails

_WORDS = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "bool_parsing": "must be true or false",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
    "byte_size": "must be a number of bytes, such as 67108864, 64MiB or 100MB",
    "byte_size_unit": "has no unit of bytes, such as in 64MiB or 100MB",
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "string_type": "must be text",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "has {actual_length} entries; use at most {max_length}",
    "too_short": "has {actual_length} entries; use at least {min_length}",
    "string_too_short": "must have at least {min_length} characters",
    "dict_type": "must be a JSON object, such as {{}}",
    "model_type": "must be a JSON object, such as {{}}",
    "model_attributes_type": "must be a JSON object, such as {{}}",
    "datetime_type": "must be a moment, such as 2027-01-31T12:00:00Z",
    "datetime_parsing": "must be a moment, such as 2027-01-31T12:00:00Z",
    "datetime_from_date_parsing": "must be a moment, such as 2027-01-31T12:00:00Z",
    "json_invalid": "is not JSON: {error}",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "timezone_aware": "needs a time zone, as in 2027-01-31T12:00:00Z",
}


def reason(error: ErrorDetails) -> str:
    """The part of a sentence behind the name of the value."""
    words = _WORDS.get(error["type"])
    return words.format(**error.get("ctx", {})) if words else error["msg"].removeprefix("Input ")
