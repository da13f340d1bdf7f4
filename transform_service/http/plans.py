"""The HTTP API for plans: what `imgsvc explain` prints, about a stored image."""

from contextlib import AsyncExitStack

from aiohttp import web

from service_kit.errors import Gone, NotAcceptable, NotFound, UnprocessableImage, UnsupportedImage, URITooLong
from service_kit.http import access, paths, queries
from service_kit.http.endpoints import Answer, Parameter, endpoint
from service_kit.http.json_bodies import JsonAnswer, json_answer
from service_kit.observing import spans
from service_kit.threads import in_thread
from transform_service.chain import FORMAT
from transform_service.description import described, facts, output_size, share_read
from transform_service.http.handlers import PARSER, SOURCES, STORED, TRANSFORMER, output_of
from transform_service.http.negotiation import requested_format
from transform_service.planning.plan import Planned
from transform_service.sources.base import SourceImage

_ACCEPT = Parameter("Accept", "With the format `auto`: the formats that the client can show.")


class PlanReport(JsonAnswer):
    """How a variant is made, in sentences, which may change, and in numbers. Parts that do not apply are null."""

    image: str
    as_written: str
    as_planned: str
    reading: str
    """How much of the original is decoded, unless the render starts from a level."""
    level: str | None = None
    in_memory: str | None = None
    output: str | None = None
    gain_map: str | None = None
    colours: str | None = None
    overlays: str | None = None
    cost: str | None = None
    format: str
    width: int
    height: int
    quality: int | None
    """null if the encoded pixels do not change."""
    seconds: float
    """Of one core, estimated."""
    bytes: int
    """Of memory, estimated."""


def routes() -> list[web.RouteDef]:
    """The route for plans."""
    return [web.get(paths.PLAN, plan)]


@endpoint(
    "get_plan",
    "Explain how a variant is made",
    {200: Answer("The plan, and what it costs. Nothing is rendered.", PlanReport)},
    *(NotFound, Gone, NotAcceptable, URITooLong, UnsupportedImage, UnprocessableImage),
    takes_chain=True,
    headers=(_ACCEPT,),
)
async def plan(request: web.Request) -> web.Response:
    """The plan of a variant of a stored image."""
    viewer, stored = access.identity_of(request), request.app[SOURCES][STORED]
    chain = request.app[PARSER].parse(queries.chain_of(request))
    requested = requested_format(request.match_info["extension"], chain.parameters.get(FORMAT))
    transformer = request.app[TRANSFORMER]
    async with AsyncExitStack() as stack:
        with spans.during("source"):
            image = await stack.enter_async_context(stored.open(request.match_info["image_id"], viewer))
        output = output_of(request, requested, image, transformed=bool(chain.operations))
        planned = await transformer.plan(image, chain, output.format)
        overlays = [await stack.enter_async_context(stored.open(each, viewer)) for each in planned.overlays]
        planned = transformer.with_overlays(planned, overlays)
        share = await _share_read(image, planned)
    lines = {name.replace(" ", "_"): text for name, text in described(chain.operations, planned, share, "")}
    made = planned.plan
    size = output_size(made) if made else image.header.size
    quality = None if made is None or made.unchanged else made.encoding.effective_quality
    report = PlanReport(
        image=facts(image.header),
        **lines,
        format=output.format.name,
        width=size.width,
        height=size.height,
        quality=quality,
        seconds=round(planned.cost.seconds, 4),
        bytes=planned.cost.bytes,
    )
    return json_answer(report)


async def _share_read(image: SourceImage, planned: Planned) -> float:
    if planned.plan is None or not planned.plan.header.progressive:
        return 1.0
    async with image.local() as path:
        return await in_thread(share_read, planned.plan, path)
