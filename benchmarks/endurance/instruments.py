"""What metrics and the log cost: goodput with both, and with neither, in turn."""

import argparse
import itertools
import signal
import statistics
import time
from dataclasses import dataclass
from itertools import islice

from benchmarks.endurance import photos
from benchmarks.endurance.client import OK, Client
from benchmarks.endurance.figures import at_least, shown
from benchmarks.endurance.instrumented import OFF, ON
from benchmarks.endurance.service import started
from benchmarks.figures import Figure
from tests.servers import Served

_CLIENTS, _FILES, _TURNS = 8, 24, 10
_GOODPUT = 0.98


def options(parser: argparse.ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("--rounds", type=int, default=9, help="rounds, each with and without (9)")


@dataclass(frozen=True)
class _Load:
    client: Client
    images: list[str]
    service: Served

    async def ratio(self, query: str, requests: int) -> float:
        """Goodput with by that without, in turns that are short: what else the machine does comes and goes in seconds.

        `NUMBER` in the query stands for another number in each request of a side.
        """
        spent = {ON: 0.0, OFF: 0.0}
        turn = requests // _TURNS
        for number in range(_TURNS):
            for side in (ON, OFF) if number % 2 else (OFF, ON):
                self.service.process.send_signal(side)
                spent[side] += await self._seconds(query, range(number * turn, number * turn + turn), side)
        return spent[OFF] / spent[ON]

    async def _seconds(self, query: str, numbers: range, side: signal.Signals) -> float:
        images = itertools.cycle(self.images)
        paths = [f"{next(images)}.webp?{query.replace('NUMBER', f'{side:d}{n:04}')}" for n in numbers]
        begun = time.perf_counter()
        answers = await self.client.closed(paths, _CLIENTS)
        assert all(answer.status == OK for answer in answers)
        return time.perf_counter() - begun


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All figures."""
    files = list(islice(photos.distinct(photos.of_size(3, ("jpg",), 12), _FILES), _FILES))
    async with (
        started(module="benchmarks.endurance.instrumented", LOG_LEVEL="INFO", LOG_FORMAT="json") as service,
        Client(service.url) as client,
    ):
        load = _Load(client, [await client.upload(body) for body in files], service)
        rounds = range(chosen.rounds)
        renders = [await load.ratio(f"blur={number + 1}.NUMBER&thumb=512", 240) for number in rounds]
        await load.ratio("thumb=300", 240)  # renders them
        cached = [await load.ratio("thumb=300", 4800) for _ in rounds]
    return [
        at_least("goodput of renders, with / without", statistics.median(renders), _GOODPUT, "", _spread(renders)),
        shown("goodput of cached results, with / without", f"{statistics.median(cached):.3f} ({_spread(cached)})"),
    ]


def _spread(ratios: list[float]) -> str:
    return f"{min(ratios):.2f} to {max(ratios):.2f}"
