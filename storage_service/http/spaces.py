"""The HTTP API for spaces and their quotas, which requires a key with the scope `admin`."""

from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from service_kit.access import check_space
from service_kit.http import access, paths, queries
from service_kit.http.json_bodies import read_json
from storage_service.audit import Action
from storage_service.http.audits import AUDIT
from storage_service.http.handlers import SETTINGS
from storage_service.metadata.base import MetadataStore, Space

METADATA = web.AppKey("METADATA", MetadataStore)
_NO_STORE = {"Cache-Control": "no-store"}
_PAGE = 500


class _Quotas(BaseModel):
    """Quotas; null: none."""

    model_config = ConfigDict(extra="forbid")

    max_bytes: int | None = Field(None, ge=0, lt=2**63)
    max_images: int | None = Field(None, ge=0, lt=2**63)
    max_uploads_per_minute: int | None = Field(None, ge=0, lt=2**31)


def routes() -> list[web.RouteDef]:
    """The routes for spaces."""
    return [web.get(paths.SPACES, list_spaces), web.put(paths.SPACE, set_quotas)]


async def list_spaces(request: web.Request) -> web.Response:
    """One page of spaces, by name. `after` is the last name of the previous page."""
    after = queries.parameters(request, ("after",)).get("after", "")
    found = await request.app[METADATA].spaces(_PAGE, after)
    body = {
        "spaces": [described(space) for space in found],
        "after": found[-1].space if len(found) == _PAGE else None,
    }
    return web.json_response(body, headers=_NO_STORE)


async def set_quotas(request: web.Request) -> web.Response:
    """Set the quotas of a space, which may be new: 200 with its description."""
    queries.parameters(request)
    name = request.match_info["space"]
    check_space(name)
    wanted = await read_json(request, request.app[SETTINGS], _Quotas)
    space = Space(
        space=name,
        max_bytes=wanted.max_bytes,
        max_images=wanted.max_images,
        max_uploads=wanted.max_uploads_per_minute,
    )
    by = access.identity_of(request).key_id
    await request.app[METADATA].set_space(space, request.app[AUDIT].entry(by, Action.SPACE, name, name))
    return web.json_response(described(await request.app[METADATA].find_space(name) or space), headers=_NO_STORE)


def described(space: Space) -> dict[str, Any]:
    """A space in JSON."""
    return {
        "space": space.space,
        "bytes": space.bytes,
        "images": space.images,
        "max_bytes": space.max_bytes,
        "max_images": space.max_images,
        "max_uploads_per_minute": space.max_uploads,
    }
