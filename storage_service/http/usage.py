"""Usage over HTTP: batches from Varnish's nodes, and reports for administrators."""

import time
from dataclasses import replace
from typing import Annotated, Self

from aiohttp import web
from pydantic import Field

from service_kit.http import paths, queries
from service_kit.http.endpoints import Answer, Parameter, endpoint
from service_kit.http.json_bodies import JsonAnswer, json_answer, read_json
from service_kit.usage import UsageBatch
from storage_service import advice as advising
from storage_service.http.receiving import SETTINGS
from storage_service.precomputed import Precomputed
from storage_service.precomputing import advised
from storage_service.usage import MOST_HOURS, ChainUsage, Usage

USAGE = web.AppKey("USAGE", Usage)
PRECOMPUTED = web.AppKey("PRECOMPUTED", Precomputed)
MOST_SHOWN, _DEFAULT_LIMIT, _DEFAULT_HOURS = 1000, 20, 24
_LARGEST_BATCH = 2 * 1024**2
_NEW_SECONDS = 86_400
"""A precomputed chain is judged after so long."""


class Cost(JsonAnswer):
    """What renders cost, and what their results take."""

    seconds: float
    bytes: int


class Advice(JsonAnswer):
    """What precomputing a chain would save and cost."""

    verdict: str
    reason: str
    saves_seconds: float
    """Per day: renders for which somebody waits."""
    new_images: Cost
    """Per day."""
    existing_images: Cost
    """Once."""

    @classmethod
    def of(cls, advice: advising.Advice) -> Self:
        """Advice as administrators see it."""
        return cls(
            verdict=advice.verdict,
            reason=advice.reason,
            saves_seconds=round(advice.saves_seconds, 3),
            new_images=Cost(seconds=round(advice.new_seconds, 3), bytes=int(advice.new_bytes)),
            existing_images=Cost(seconds=round(advice.existing_seconds, 3), bytes=int(advice.existing_bytes)),
        )


class ChainReport(JsonAnswer):
    """Requests for a chain."""

    chain: str
    """Format and operations, such as `webp?thumb=300`."""
    requests: int
    share: float
    """Of all requests, from 0 to 1."""
    hit_ratio: float
    """The share of its requests that Varnish answered."""
    outcomes: dict[str, int]
    """Requests by what answered them: a cache, a stored variant, a render."""
    renders: int
    render_seconds: float
    render_seconds_per_day: float
    bytes: int
    """That were sent."""
    precompute: Advice | None
    """null for a chain that cannot be precomputed."""


class ImageRequests(JsonAnswer):
    """Requests for an image."""

    image_id: str
    requests: int


class UsageReport(JsonAnswer):
    """What viewers requested."""

    hours: int
    counted_hours: float
    """For how long requests were counted."""
    requests: int
    render_seconds: float
    bytes: int
    """That were sent."""
    chains: list[ChainReport]
    """The most requested ones first, then the others that are precomputed."""
    images: list[ImageRequests]
    """The most requested ones first."""


def routes() -> list[web.RouteDef]:
    """The route for administrators."""
    return [web.get(paths.USAGE, report)]


async def add(request: web.Request) -> web.Response:
    """Count a batch: 204."""
    batch = await read_json(request, request.app[SETTINGS], UsageBatch, _LARGEST_BATCH)
    await request.app[USAGE].add(batch)
    return web.Response(status=204)


@endpoint(
    "get_usage",
    "Show what viewers request most",
    {200: Answer("Chains and images by requests, and advice about precomputing.", UsageReport)},
    query=(
        Parameter("hours", f"The last hours; by default {_DEFAULT_HOURS}.", Annotated[int, Field(ge=1, le=MOST_HOURS)]),
        Parameter(
            "limit",
            f"The most chains and images; by default {_DEFAULT_LIMIT}.",
            Annotated[int, Field(ge=1, le=MOST_SHOWN)],
        ),
    ),
)
async def report(request: web.Request) -> web.Response:
    """What was requested most in the last `hours`."""
    given = queries.parameters(request, ("hours", "limit"))
    hours = queries.whole_number(given, "hours", _DEFAULT_HOURS, MOST_HOURS)
    limit = queries.whole_number(given, "limit", _DEFAULT_LIMIT, MOST_SHOWN)
    return json_answer(await reported(request.app[USAGE], request.app[PRECOMPUTED], hours, limit))


async def reported(usage: Usage, precomputed: Precomputed, hours: int, limit: int) -> UsageReport:
    """What was requested most, and what is precomputed."""
    chains = {chain.chain: chain for chain in await usage.chains(hours)}
    there = [each for each in await precomputed.all() if not each.leaving]
    adopted = {each.chain: each.place is None for each in there}
    new = {each.chain for each in there if each.added_at > time.time() - _NEW_SECONDS}
    advice = {each.chain: replace(each, is_new=each.chain in new) for each in await advised(usage, hours, adopted)}
    total, days = sum(chain.requests for chain in chains.values()), await usage.days(hours)
    shown = [*list(chains)[:limit], *(chain for chain in adopted if chain not in list(chains)[:limit])]
    images = await usage.images(hours, limit)
    return UsageReport(
        hours=hours,
        counted_hours=round(days * 24, 1),
        requests=total,
        render_seconds=round(sum(chain.seconds for chain in chains.values()), 3),
        bytes=sum(chain.bytes for chain in chains.values()),
        chains=[_chain(chains.get(name, ChainUsage(name)), total, days, advice.get(name)) for name in shown],
        images=[ImageRequests(image_id=image_id, requests=requests) for image_id, requests in images],
    )


def _chain(chain: ChainUsage, total: int, days: float, advice: advising.Advice | None) -> ChainReport:
    return ChainReport(
        chain=chain.chain,
        requests=chain.requests,
        share=round(chain.requests / total, 4) if total else 0.0,
        hit_ratio=round(chain.hit_ratio, 4),
        outcomes=chain.outcomes,
        renders=chain.renders,
        render_seconds=round(chain.seconds, 3),
        render_seconds_per_day=round(chain.seconds / days, 3),
        bytes=chain.bytes,
        precompute=Advice.of(advice) if advice else None,
    )
