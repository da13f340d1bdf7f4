"""The HTTP API for images that look similar."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from service_kit.errors import Gone, NotFound
from service_kit.http import access, paths, queries
from service_kit.http.endpoints import Answer, Parameter, endpoint
from service_kit.http.json_bodies import JsonAnswer, json_answer
from service_kit.observing import spans
from storage_service.http.images import Image
from storage_service.http.receiving import LIBRARY, SETTINGS
from storage_service.looks import MOST_DIFFERENT, Looks

LOOKS = web.AppKey("LOOKS", Looks)

_DEFAULT, _MOST = 20, 100


class SimilarImage(JsonAnswer):
    """An image that looks similar."""

    distance: int
    """In how many of 64 bits the perceptual hashes differ; 0: they look the same."""
    image: Image


class SimilarImages(JsonAnswer):
    """Images that look similar, most similar first."""

    images: list[SimilarImage]


def routes() -> list[web.RouteDef]:
    """The route for images that look similar."""
    return [web.get(paths.SIMILAR, similar)]


@endpoint(
    "list_similar_images",
    "List images that look similar",
    {200: Answer("Images that look similar.", SimilarImages)},
    NotFound,
    Gone,
    text=f"Finds copies in other sizes, formats and qualities, and with small changes: images whose perceptual hashes"
    f" differ in at most {MOST_DIFFERENT} bits. The list is empty until a job has looked at the image, some seconds"
    " after the upload.",
    query=(
        Parameter("limit", f"How many images to list; by default {_DEFAULT}.", Annotated[int, Field(ge=1, le=_MOST)]),
    ),
)
async def similar(request: web.Request) -> web.Response:
    """Images that look like another one."""
    limit = queries.whole_number(queries.parameters(request, ("limit",)), "limit", _DEFAULT, _MOST)
    app, space = request.app, access.identity_of(request).space
    with spans.during("record"):
        record = await app[LIBRARY].find(request.match_info["image_id"], space)
        found = await app[LOOKS].similar(record, space, limit)
        looks = await app[LOOKS].of([each.record for each in found])
    base = app[SETTINGS].link_base
    images = [
        SimilarImage(distance=each.distance, image=Image.of(each.record, base, looks.get(each.record.sha256)))
        for each in found
    ]
    return json_answer(SimilarImages(images=images))
