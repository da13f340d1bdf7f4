"""Usage over HTTP: batches from Varnish's nodes, and reports for administrators."""

import re
from typing import Any

from aiohttp import web

from service_kit.errors import BadRequest
from service_kit.http import paths, queries
from service_kit.http.json_bodies import read_json
from service_kit.usage import UsageBatch
from storage_service.http.handlers import SETTINGS
from storage_service.usage import ChainUsage, Usage

USAGE = web.AppKey("USAGE", Usage)
MOST_HOURS = 90 * 24
_MOST, _DEFAULT_LIMIT, _DEFAULT_HOURS = 1000, 20, 24
_LARGEST_BATCH = 2 * 1024**2


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
    hours = _number(given, "hours", _DEFAULT_HOURS, MOST_HOURS)
    limit = _number(given, "limit", _DEFAULT_LIMIT, _MOST)
    body = await described(request.app[USAGE], hours, limit)
    return web.json_response(body, headers={"Cache-Control": "no-store"})


async def described(usage: Usage, hours: int, limit: int) -> dict[str, Any]:
    """A report in JSON."""
    chains = await usage.chains(hours)
    total = sum(chain.requests for chain in chains)
    return {
        "hours": hours,
        "requests": total,
        "render_seconds": round(sum(chain.seconds for chain in chains), 3),
        "bytes": sum(chain.bytes for chain in chains),
        "chains": [_chain(chain, total, hours) for chain in chains[:limit]],
        "images": [
            {"image_id": image_id, "requests": requests} for image_id, requests in await usage.images(hours, limit)
        ],
    }


def _chain(chain: ChainUsage, total: int, hours: int) -> dict[str, Any]:
    return {
        "chain": chain.chain,
        "requests": chain.requests,
        "share": round(chain.requests / total, 4),
        "hit_ratio": round(chain.hit_ratio, 4),
        "outcomes": chain.outcomes,
        "renders": chain.renders,
        "render_seconds_per_day": round(chain.seconds * 24 / hours, 3),
        "bytes": chain.bytes,
    }


def _number(given: dict[str, str], name: str, default: int, most: int) -> int:
    text = given.get(name, str(default))
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise BadRequest(f"{name}={text[:64]!r} is not a whole number from 1 to {most}")
    return int(text)
