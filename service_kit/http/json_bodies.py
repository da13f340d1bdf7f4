"""Reads JSON that clients post."""

from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from service_kit.errors import BadRequest
from service_kit.http import media_types
from service_kit.http._body import Body
from service_kit.invalid import reason
from service_kit.settings import CommonSettings

_LARGEST = 16 * 1024
Model = TypeVar("Model", bound=BaseModel)


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
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        hint = f"; use {', '.join(model.model_fields)}" if problem["type"] == "extra_forbidden" else ""
        raise BadRequest(f"{place or 'the body'}: {reason(problem)}{hint}") from None
