"""JSON: the bodies that clients post, and those of responses."""

from datetime import UTC, datetime
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, WithJsonSchema

from service_kit.access import SPACE_PATTERN
from service_kit.errors import BadRequest
from service_kit.http import media_types
from service_kit.http._body import Body
from service_kit.invalid import reason
from service_kit.settings import CommonSettings
from service_kit.suggestions import hint

_LARGEST = 16 * 1024
Model = TypeVar("Model", bound=BaseModel)

Whole = Annotated[
    int, BeforeValidator(lambda value: int(value) if isinstance(value, float) and value.is_integer() else value)
]
"""A whole number in a request. JSON has only one kind of number, so 5.0 is one."""
SpaceName = Annotated[str, Field(json_schema_extra={"pattern": SPACE_PATTERN})]
"""The name of a space, which `check_space` checks."""
Moment = Annotated[
    datetime,
    PlainSerializer(lambda moment: moment.astimezone(UTC).isoformat()),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A point in time, in UTC."""


class JsonRequest(BaseModel):
    """What a client posts. Unknown fields are refused, since a misspelt one would be ignored, and `false` is not 0."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class JsonAnswer(BaseModel):
    """What a response contains. Later versions may add fields."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


def json_answer(answer: BaseModel, status: int = 200, **headers: str) -> web.Response:
    """A response that no cache keeps."""
    # With the spaces of json.dumps, for which health checks may look.
    body = answer.model_dump(mode="json")
    return web.json_response(body, status=status, headers={**headers, "Cache-Control": "no-store"})


async def read_json(request: web.Request, settings: CommonSettings, model: type[Model], limit: int = _LARGEST) -> Model:
    """The body, of at most `limit` bytes, as `model`.

    Raises BadRequest, which names the field, and the errors of Body.chunks.
    """
    content_type = media_types.media_type(request.headers.get("Content-Type", "application/json"))
    if content_type.name != "application/json":
        raise BadRequest(f"the content type {content_type.name} is not supported; send application/json")
    text = bytearray()
    async for chunk in Body(request, settings).chunks(limit, "the body"):
        text += chunk
    try:
        return model.model_validate_json(bytes(text) or b"{}")
    except ValidationError as error:
        raise BadRequest(explained(error, model)) from None


def explained(error: ValidationError, model: type[BaseModel]) -> str:
    """The first of the mistakes, with the place of the value."""
    problems = error.errors()
    # A misspelt field is also missing.
    problem = next((each for each in problems if each["type"] == "extra_forbidden"), problems[0])
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown field {place[:64]!r}; {hint(place, model.model_fields)}"
    colon = ":" if problem["type"] == "value_error" else ""  # such an error is a sentence of its own
    return f"{place or 'the body'}{colon} {reason(problem)}"
