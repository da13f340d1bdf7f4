"""The HTTP API for spaces and their quotas, which requires a key with the scope `admin`."""

from typing import Self

from aiohttp import web
from pydantic import Field

from service_kit.access import check_space
from service_kit.http import access, paths, queries
from service_kit.http.endpoints import Answer, Parameter, endpoint
from service_kit.http.json_bodies import JsonAnswer, JsonRequest, Whole, json_answer, read_json
from storage_service.audit import Action
from storage_service.http.audits import AUDIT
from storage_service.http.receiving import SETTINGS
from storage_service.metadata import base

METADATA = web.AppKey("METADATA", base.MetadataStore)
_PAGE = 500


class Quotas(JsonRequest):
    """Quotas of a space; null, or left out: none."""

    max_bytes: Whole | None = Field(None, ge=0, lt=2**63)
    """Of its originals."""
    max_images: Whole | None = Field(None, ge=0, lt=2**63)
    max_uploads_per_minute: Whole | None = Field(None, ge=0, lt=2**31)


class Space(JsonAnswer):
    """A space, what it has and what it may have."""

    space: str
    bytes: int
    """Of its originals."""
    images: int
    max_bytes: int | None
    """null: no limit."""
    max_images: int | None
    max_uploads_per_minute: int | None

    @classmethod
    def of(cls, space: base.Space) -> Self:
        """A space as administrators see it."""
        return cls(**space.model_dump(exclude={"max_uploads"}), max_uploads_per_minute=space.max_uploads)


class SpacePage(JsonAnswer):
    """A page of spaces, by name."""

    spaces: list[Space]
    after: str | None
    """The parameter `after` for the next page; null on the last one."""


def routes() -> list[web.RouteDef]:
    """The routes for spaces."""
    return [web.get(paths.SPACES, list_spaces), web.put(paths.SPACE, set_quotas)]


@endpoint(
    "list_spaces",
    "List spaces",
    {200: Answer(f"A page of up to {_PAGE} spaces.", SpacePage)},
    query=(Parameter("after", "The `after` of the previous page."),),
)
async def list_spaces(request: web.Request) -> web.Response:
    """One page of spaces, by name. `after` is the last name of the previous page."""
    after = queries.parameters(request, ("after",)).get("after", "")
    found = await request.app[METADATA].spaces(_PAGE, after)
    following = found[-1].space if len(found) == _PAGE else None
    return json_answer(SpacePage(spaces=[Space.of(space) for space in found], after=following))


@endpoint(
    "set_quotas",
    "Set the quotas of a space",
    {200: Answer("The space after the change.", Space)},
    text="A space that does not exist yet is made. Quotas that are left out are lifted.",
    body=Quotas,
)
async def set_quotas(request: web.Request) -> web.Response:
    """Set the quotas of a space, which may be new: 200 with its description."""
    queries.parameters(request)
    name = request.match_info["space"]
    check_space(name)
    wanted = await read_json(request, request.app[SETTINGS], Quotas)
    space = base.Space(
        space=name,
        max_bytes=wanted.max_bytes,
        max_images=wanted.max_images,
        max_uploads=wanted.max_uploads_per_minute,
    )
    by = access.identity_of(request).key_id
    await request.app[METADATA].set_space(space, request.app[AUDIT].entry(by, Action.SPACE, name, name))
    return json_answer(Space.of(await request.app[METADATA].find_space(name) or space))
