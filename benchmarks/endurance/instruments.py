"""What metrics and the log cost: goodput with both, and with neither, in turn."""

import argparse
import itertools
import statistics
import time
from dataclasses import dataclass
from itertools import islice

from benchmarks.endurance import photos
from benchmarks.endurance.client import OK, Client
from benchmarks.endurance.figures import at_least, shown
from benchmarks.endurance.service import started
from benchmarks.figures import Figure

_CLIENTS, _FILES = 8, 24
_GOODPUT = 0.98


def options(parser: argparse.ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("--rounds", type=int, default=9, help="rounds, each with and without (9)")


@dataclass(frozen=True)
class _Side:
    client: Client
    images: list[str]

    async def rate(self, query: str, requests: int) -> float:
        """Good answers a second; `NUMBER` in the query is another one in each request."""
        images = itertools.cycle(self.images)
        paths = [f"{next(images)}.webp?{query.replace('NUMBER', f'{n:03}')}" for n in range(requests)]
        begun = time.perf_counter()
        answers = await self.client.closed(paths, _CLIENTS)
        assert all(answer.status == OK for answer in answers)
        return len(answers) / (time.perf_counter() - begun)


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All figures."""
    files = list(islice(photos.distinct(photos.of_size(3, ("jpg",), 12), _FILES), _FILES))
    async with (
        started(LOG_LEVEL="INFO", LOG_FORMAT="json") as with_all,
        started(module="benchmarks.endurance.uninstrumented") as with_none,
        Client(with_all.url) as on,
        Client(with_none.url) as off,
    ):
        sides = [_Side(client, [await client.upload(body) for body in files]) for client in (on, off)]
        rounds = range(chosen.rounds)
        renders = [await _ratio(sides, number, f"blur={number + 1}.NUMBER&thumb=512", 200) for number in rounds]
        cached = [await _ratio(sides, number, "thumb=300", 3000) for number in rounds]
    return [
        at_least("goodput of renders, with / without", statistics.median(renders), _GOODPUT, "", _spread(renders)),
        shown("goodput of cached results, with / without", f"{statistics.median(cached):.3f} ({_spread(cached)})"),
    ]


async def _ratio(sides: list[_Side], number: int, query: str, requests: int) -> float:
    """Of one round; who comes first changes from round to round."""
    rates = [await side.rate(query, requests) for side in (sides if number % 2 else sides[::-1])]
    return rates[0] / rates[1] if number % 2 else rates[1] / rates[0]


def _spread(ratios: list[float]) -> str:
    return f"{min(ratios):.2f} to {max(ratios):.2f}"
