"""What metrics and the log cost: goodput with both and with neither, in turn."""

import argparse
import itertools
import statistics
import time
from collections.abc import Iterator
from itertools import islice

from benchmarks.endurance.instrumented import OFF, ON
from benchmarks.endurance.service import started, uploaded
from benchmarks.photos import distinct, of_size
from measuring.client import Client
from measuring.figures import Figure, at_least, extremes
from measuring.servers import Served

_CLIENTS, _FILES, _TURNS = 8, 24, 10
_GOODPUT = 0.98


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--rounds", type=int, default=9, help="rounds, each with and without (default: 9)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All figures."""
    files = distinct(of_size(3, ["jpg"], 12), _FILES)
    module = "benchmarks.endurance.instrumented"
    async with started(module=module, LOG_LEVEL="INFO", LOG_FORMAT="json") as (service, client):
        images = await uploaded(client, files)
        numbers = itertools.count()
        different = (f"{image}.webp?blur=1.{next(numbers):06}&thumb=512" for image in itertools.cycle(images))
        cached = (f"{image}.webp?thumb=300" for image in itertools.cycle(images))
        renders = [await _ratio(service, client, different, 240) for _ in range(chosen.rounds)]
        await client.closed(islice(cached, _FILES), _CLIENTS)  # renders them
        results = [await _ratio(service, client, cached, 4800) for _ in range(chosen.rounds)]
    return [
        at_least("goodput of renders, with / without", statistics.median(renders), _GOODPUT, "", extremes(renders)),
        Figure("goodput of cached results, with / without", f"{statistics.median(results):.3f}", extremes(results)),
    ]


async def _ratio(service: Served, client: Client, paths: Iterator[str], requests: int) -> float:
    """Goodput with instruments by that without, in short turns: other load on the machine comes and goes in seconds."""
    spent = {ON: 0.0, OFF: 0.0}
    for number in range(_TURNS):
        for side in (ON, OFF) if number % 2 else (OFF, ON):
            service.process.send_signal(side)
            begun = time.perf_counter()
            answers = await client.closed(islice(paths, requests // _TURNS), _CLIENTS)
            spent[side] += time.perf_counter() - begun
            assert all(answer.ok for answer in answers)
    return spent[OFF] / spent[ON]
