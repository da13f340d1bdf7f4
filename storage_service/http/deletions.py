"""The HTTP API for deletions of all images that a search finds."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from aiohttp import web
from pydantic import AwareDatetime, ConfigDict, Field

import storage_service.deletions
from service_kit.access import Visibility
from service_kit.errors import BadRequest, NotFound
from service_kit.http import access, paths, queries
from service_kit.http.endpoints import Answer, Parameter, endpoint
from service_kit.http.json_bodies import JsonAnswer, JsonRequest, Moment, SpaceName, Whole, json_answer, read_json
from storage_service.deletions import Deletions, State
from storage_service.http.filters import ColourName, filters_in
from storage_service.http.images import FormatName
from storage_service.http.receiving import OWN_SPACE, SETTINGS, space_in
from storage_service.search import Filters

DELETIONS = web.AppKey("DELETIONS", Deletions)

_MOST_LISTED = 100
_Side = Annotated[Whole | None, Field(ge=1, le=1_000_000)]


class DeletionRequest(JsonRequest):
    """Which images to delete: those that the list of images finds with the same filters, and no later uploads."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "examples": [{"tags": ["draft"]}]})

    q: str | None = None
    """Words in the title, file name, alt text and tags."""
    tags: list[Annotated[str, Field(pattern="^[^,]*[^, ][^,]*$")]] | None = Field(None, min_length=1)
    """All of them. A tag has no comma."""
    format: FormatName | None = None
    visibility: Visibility | None = None
    colour: ColourName | None = None
    min_width: _Side = None
    max_width: _Side = None
    min_height: _Side = None
    max_height: _Side = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    space: SpaceName | None = None
    all: bool = False
    """Set it to delete all images without a filter."""

    def texts(self) -> dict[str, str]:
        """The filters as in a query."""
        given = self.model_dump(exclude_none=True, exclude={"all"})
        return {name: _text(value) for name, value in given.items()}


class Deletion(JsonAnswer):
    """A deletion, and how far it is."""

    deletion_id: str
    state: State
    deleted: int
    """Images that are deleted by now."""
    failed: int
    """Images that could not be deleted; the log of the service says why."""
    added_at: Moment
    ended_at: Moment | None

    @classmethod
    def of(cls, deletion: storage_service.deletions.Deletion) -> "Deletion":
        """A deletion as clients see it."""
        return cls(**{name: getattr(deletion, name) for name in cls.model_fields})


class DeletionList(JsonAnswer):
    """Deletions, newest first."""

    deletions: list[Deletion]


def routes() -> list[web.RouteDef]:
    """The routes for deletions."""
    return [
        web.get(paths.DELETIONS, list_deletions),
        web.post(paths.DELETIONS, begin),
        web.get(paths.DELETION, find),
        web.post(paths.DELETION_STOP, stop),
    ]


@endpoint(
    "delete_images",
    "Delete all images that a search finds",
    {202: Answer("The deletion has begun.", Deletion, (Parameter("Location", "Where to see how far it is."),))},
    NotFound,
    text="Takes the filters of the list of images. Images that are uploaded later stay. A deletion goes on after a"
    " restart of the service.",
    body=DeletionRequest,
)
async def begin(request: web.Request) -> web.Response:
    """Begin a deletion: 202."""
    queries.parameters(request)
    wanted = await read_json(request, request.app[SETTINGS], DeletionRequest)
    texts = wanted.texts()
    space = space_in(request, texts)
    filters = filters_in({name: value for name, value in texts.items() if name != OWN_SPACE.name}, space)
    if replace(filters, space=None, tags=tuple(filters.tags)) == Filters() and not wanted.all:
        raise BadRequest("there is no filter, so that this deletes all images; add one, or confirm with `all: true`")
    made = await request.app[DELETIONS].add(filters, access.identity_of(request))
    location = f"{request.app[SETTINGS].link_base}/v1/deletions/{made.deletion_id}"
    return json_answer(Deletion.of(made), 202, Location=location)


@endpoint("list_deletions", "List deletions", {200: Answer(f"The newest {_MOST_LISTED}.", DeletionList)})
async def list_deletions(request: web.Request) -> web.Response:
    """The newest deletions."""
    queries.parameters(request)
    found = await request.app[DELETIONS].newest(access.identity_of(request).space, _MOST_LISTED)
    return json_answer(DeletionList(deletions=[Deletion.of(each) for each in found]))


@endpoint("get_deletion", "See how far a deletion is", {200: Answer("The deletion.", Deletion)}, NotFound)
async def find(request: web.Request) -> web.Response:
    """A deletion."""
    queries.parameters(request)
    space = access.identity_of(request).space
    return json_answer(Deletion.of(await request.app[DELETIONS].find(request.match_info["deletion_id"], space)))


@endpoint(
    "stop_deletion",
    "Stop a deletion",
    {200: Answer("The deletion. What it has deleted stays deleted.", Deletion)},
    NotFound,
)
async def stop(request: web.Request) -> web.Response:
    """Stop a deletion: 200 with how far it got."""
    queries.parameters(request)
    space = access.identity_of(request).space
    return json_answer(Deletion.of(await request.app[DELETIONS].stop(request.match_info["deletion_id"], space)))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
