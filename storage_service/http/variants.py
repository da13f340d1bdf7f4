"""The HTTP API for the variants of an image that are stored."""

from datetime import UTC, datetime
from typing import Annotated

from aiohttp import web
from pydantic import Field

from service_kit.errors import Gone, NotFound
from service_kit.http import access, paths, queries
from service_kit.http.endpoints import Answer, endpoint
from service_kit.http.json_bodies import JsonAnswer, Moment, json_answer
from service_kit.observing import spans
from storage_service.http.receiving import LIBRARY, SETTINGS
from storage_service.http.usage import PRECOMPUTED
from storage_service.variants import Variants

VARIANTS = web.AppKey("VARIANTS", Variants)


class StoredVariant(JsonAnswer):
    """A variant that is stored, so that requests for it need no render."""

    chain: str
    """The format and the operations, as usage counts them: `webp?thumb=300`."""
    url: str
    """A path, or absolute if the service has a PUBLIC_URL."""
    bytes: Annotated[int, Field(ge=0)]
    used_at: Moment | None
    """When it was stored, or last sent since; null for keys of a space."""
    precomputed: bool
    """Whether its chain is precomputed; otherwise, it was rendered again and again."""


class StoredVariants(JsonAnswer):
    """The stored variants of an image, precomputed ones first, then last used."""

    variants: list[StoredVariant]


def routes() -> list[web.RouteDef]:
    """The route for stored variants."""
    return [web.get(paths.VARIANTS, list_variants)]


@endpoint(
    "list_stored_variants",
    "List the stored variants of an image",
    {200: Answer("The stored variants, precomputed ones first, then last used.", StoredVariants)},
    NotFound,
    Gone,
    text="Those are what is precomputed, and what was rendered again and again. All other variants are rendered when"
    " somebody requests them, and kept by caches only. Keys of a space see precomputed ones only: images of other"
    " spaces may have the same bytes, and what their visitors request is theirs.",
)
async def list_variants(request: web.Request) -> web.Response:
    """The stored variants of an image."""
    queries.parameters(request)
    app = request.app
    with spans.during("record"):
        space = access.identity_of(request).space
        record = await app[LIBRARY].find(request.match_info["image_id"], space)
        precomputed = await app[PRECOMPUTED].lately()
        rows = await app[VARIANTS].listed(record.sha256, precomputed)
    images = f"{app[SETTINGS].link_base}/v1/images"
    variants = [
        StoredVariant(
            chain=row.about,
            url=f"{images}/{record.image_id}.{row.about}",
            bytes=row.bytes,
            used_at=datetime.fromtimestamp(row.used_at, UTC) if space is None else None,
            precomputed=row.about in precomputed,
        )
        for row in rows
        if space is None or row.about in precomputed
    ]
    return json_answer(StoredVariants(variants=variants))
