"""Describes endpoints to clients: docs/openapi.py makes the OpenAPI document from these descriptions."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel

from service_kit.errors import ServiceError

Handler = TypeVar("Handler", bound=Callable[[web.Request], Awaitable[web.StreamResponse]])

IMAGE_ID_PATTERN = "^[0-9a-f]{32}$"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query or a header of a request. `kind` is its type, as pydantic reads one."""

    name: str
    text: str
    kind: Any = str


@dataclass(frozen=True, slots=True)
class Answer:
    """A good response: what it says, and in which form."""

    text: str
    body: type[BaseModel] | None = None
    headers: tuple[Parameter, ...] = ()
    is_image: bool = False
    """Whether the body is an image. It then has the headers of all images, besides `headers`."""


@dataclass(frozen=True, slots=True)
class Form:
    """A body that is a form, or the image itself with its content type."""

    fields: Mapping[str, str]
    """What each field is, by name. The first is a file, and required."""
    instead: type[BaseModel] | None = None
    """What may be sent in its place, as JSON."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What clients have to know about a route."""

    name: str
    """Unique: the name of a function in clients that are generated."""
    summary: str
    text: str
    answers: Mapping[int, Answer]
    query: tuple[Parameter, ...] = ()
    takes_chain: bool = False
    """Whether the query has operations."""
    names_source: bool = False
    """Whether the query, or a form, names an image as one of the sources defines."""
    headers: tuple[Parameter, ...] = ()
    body: type[BaseModel] | Form | None = None
    errors: frozenset[type[ServiceError]] = frozenset()
    """Besides those of every endpoint, of bodies, and of scopes."""


_ENDPOINTS: dict[Callable[..., Any], Endpoint] = {}

IF_MATCH = Parameter("If-Match", "Refuse the request (412) unless the image has this `ETag`.")
CONDITIONS = (
    Parameter("If-None-Match", "An `ETag`: the response is 304 without a body if the image is the same."),
    IF_MATCH,
)
DOWNLOAD_PARAMETER = Parameter(
    "download", "Makes browsers save the image instead of showing it, under this name if there is one."
)


def endpoint(
    name: str, summary: str, answers: Mapping[int, Answer], *errors: type[ServiceError], text: str = "", **more: Any
) -> Callable[[Handler], Handler]:
    """Describe a handler. `more` are further fields of Endpoint."""

    def describe(handler: Handler) -> Handler:
        _ENDPOINTS[handler] = Endpoint(name, summary, text, answers, errors=frozenset(errors), **more)
        return handler

    return describe


def described(handler: Callable[..., Any]) -> Endpoint | None:
    """The description of a handler; None without one."""
    return _ENDPOINTS.get(handler)
