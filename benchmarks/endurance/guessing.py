"""100,000 wrong keys a minute from one address: they are refused, and clients at other addresses do not notice."""

import argparse
import asyncio
import itertools
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from http import HTTPStatus
from pathlib import Path

import pyvips

from benchmarks.endurance.service import new_key, none_of
from measuring.client import Answer, Client, lasting
from measuring.figures import Figure, at_least, at_most
from measuring.percentiles import percentile
from measuring.servers import imgsvc

_PER_MINUTE = 100_000
_OTHERS_PER_SECOND = 40
_SLOWER = 2
_LEAST_THROTTLED = 0.95
_OTHER_ADDRESS = "127.0.0.2"


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--seconds", type=int, default=60, help="how long the guessing lasts (default: 60)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All figures. The guesser is a process of its own, so that it delays only the service."""
    with (
        tempfile.TemporaryDirectory(prefix="imgsvc-guessing-") as name,
        imgsvc(Path(name), AUTH="keys") as service,
        ProcessPoolExecutor(1) as guesser,
    ):
        key = new_key(DATA_DIR=f"{name}/data")
        headers = {"Authorization": f"Bearer {key}"}
        async with Client(service.url, address=_OTHER_ADDRESS, headers=headers) as client:
            image = await client.upload(pyvips.Image.gaussnoise(900, 600).cast("uchar").jpegsave_buffer())
            paths = itertools.cycle([f"{image}.webp?thumb=300", image, f"{image}/info", "/v1/images?limit=20"])
            await client.closed(lasting(paths, 2), 1)
            before = await client.steady(lasting(paths, 15), _OTHERS_PER_SECOND)
            guesses = asyncio.wrap_future(guesser.submit(_guess, service.url, chosen.seconds))
            during = await client.steady(lasting(paths, chosen.seconds), _OTHERS_PER_SECOND)
            answers = await guesses
    return _figures(before, during, answers, chosen.seconds)


def _guess(url: str, seconds: int) -> Counter[int]:
    """Send a wrong key each time. Returns the number of answers by status."""

    async def guess() -> Counter[int]:
        counted: Counter[int] = Counter()
        async with Client(url, 100) as client, asyncio.TaskGroup() as group:

            async def once(number: int) -> None:
                headers = {"Authorization": f"Bearer ik_abababababab_{number:043}"}
                counted[(await client.request("/v1/images", headers=headers)).status] += 1

            loop = asyncio.get_running_loop()
            begun = loop.time()
            for number in range(_PER_MINUTE * seconds // 60):
                await asyncio.sleep(begun + number * 60 / _PER_MINUTE - loop.time())
                group.create_task(once(number))
        return counted

    return asyncio.run(guess())


def _figures(before: list[Answer], during: list[Answer], guesses: Counter[int], seconds: int) -> list[Figure]:
    usual, now = (percentile([answer.ms for answer in answers], 0.99) for answers in (before, during))
    medians = [percentile([answer.ms for answer in answers], 0.5) for answers in (before, during)]
    throttled = guesses[HTTPStatus.TOO_MANY_REQUESTS] / guesses.total()
    wrong = {status for status in guesses if status not in {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}}
    return [
        Figure("wrong keys a minute", f"{guesses.total() * 60 / seconds:,.0f}", str(dict(guesses))),
        at_most("kinds of answers to them other than 403 and 429", len(wrong), 0),
        at_least("share with 429", throttled, _LEAST_THROTTLED),
        none_of("answers to others that are not 200", [answer for answer in during if not answer.ok]),
        Figure("others, median", f"{medians[1]:.1f} ms", f"before {medians[0]:.1f} ms"),
        at_most("others, p99", now, max(_SLOWER * usual, usual + 10), " ms", f"before {usual:.1f} ms"),
    ]
