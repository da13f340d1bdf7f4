"""Usage over HTTP: batches from Varnish's nodes, and reports for administrators."""

import time
from dataclasses import replace
from typing import Any

from aiohttp import web

from service_kit.http import paths, queries
from service_kit.http.json_bodies import read_json
from service_kit.usage import UsageBatch
from storage_service.advice import Advice
from storage_service.http.handlers import SETTINGS
from storage_service.precomputed import Precomputed
from storage_service.precomputing import advised
from storage_service.usage import MOST_HOURS, ChainUsage, Usage

USAGE = web.AppKey("USAGE", Usage)
PRECOMPUTED = web.AppKey("PRECOMPUTED", Precomputed)
MOST_SHOWN, _DEFAULT_LIMIT, _DEFAULT_HOURS = 1000, 20, 24
_LARGEST_BATCH = 2 * 1024**2
_NEW_SECONDS = 86_400
"""A precomputed chain is judged after so long."""


def routes() -> list[web.RouteDef]:
    """The route for administrators."""
    return [web.get(paths.USAGE, report)]


async def add(request: web.Request) -> web.Response:
    """Count a batch: 204."""
    batch = await read_json(request, request.app[SETTINGS], UsageBatch, _LARGEST_BATCH)
    await request.app[USAGE].add(batch)
    return web.Response(status=204)


async def report(request: web.Request) -> web.Response:
    """What was requested most in the last `hours`."""
    given = queries.parameters(request, ("hours", "limit"))
    hours = queries.whole_number(given, "hours", _DEFAULT_HOURS, MOST_HOURS)
    limit = queries.whole_number(given, "limit", _DEFAULT_LIMIT, MOST_SHOWN)
    body = await described(request.app[USAGE], request.app[PRECOMPUTED], hours, limit)
    return web.json_response(body, headers={"Cache-Control": "no-store"})


async def described(usage: Usage, precomputed: Precomputed, hours: int, limit: int) -> dict[str, Any]:
    """A report in JSON: what was requested most, and what is precomputed."""
    chains = {chain.chain: chain for chain in await usage.chains(hours)}
    there = [each for each in await precomputed.all() if not each.leaving]
    adopted = {each.chain: each.place is None for each in there}
    new = {each.chain for each in there if each.added_at > time.time() - _NEW_SECONDS}
    advice = {each.chain: replace(each, is_new=each.chain in new) for each in await advised(usage, hours, adopted)}
    total, days = sum(chain.requests for chain in chains.values()), await usage.days(hours)
    shown = [*list(chains)[:limit], *(chain for chain in adopted if chain not in list(chains)[:limit])]
    return {
        "hours": hours,
        "counted_hours": round(days * 24, 1),
        "requests": total,
        "render_seconds": round(sum(chain.seconds for chain in chains.values()), 3),
        "bytes": sum(chain.bytes for chain in chains.values()),
        "chains": [
            _chain(chains.get(name, ChainUsage(name)), total, days) | {"precompute": _advice(advice.get(name))}
            for name in shown
        ],
        "images": [
            {"image_id": image_id, "requests": requests} for image_id, requests in await usage.images(hours, limit)
        ],
    }


def _chain(chain: ChainUsage, total: int, days: float) -> dict[str, Any]:
    return {
        "chain": chain.chain,
        "requests": chain.requests,
        "share": round(chain.requests / total, 4) if total else 0.0,
        "hit_ratio": round(chain.hit_ratio, 4),
        "outcomes": chain.outcomes,
        "renders": chain.renders,
        "render_seconds": round(chain.seconds, 3),
        "render_seconds_per_day": round(chain.seconds / days, 3),
        "bytes": chain.bytes,
    }


def _advice(advice: Advice | None) -> dict[str, Any] | None:
    """What precomputing a chain would save and cost per day, or None for a chain that cannot be precomputed."""
    if advice is None:
        return None
    return {
        "verdict": advice.verdict,
        "reason": advice.reason,
        "saves_seconds": round(advice.saves_seconds, 3),
        "new_images": {"seconds": round(advice.new_seconds, 3), "bytes": int(advice.new_bytes)},
        "existing_images": {"seconds": round(advice.existing_seconds, 3), "bytes": int(advice.existing_bytes)},
    }
