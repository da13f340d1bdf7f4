"""A site's traffic: variants requested by Zipf's law from the service itself, through our VCL."""

import argparse
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from benchmarks.edge import varnish
from benchmarks.endurance.service import started, uploaded
from benchmarks.photos import distinct, of_size
from measuring.client import Answer, Client
from measuring.figures import Figure, at_least, at_most
from measuring.zipf import Zipf

_IMAGES, _EXPONENT, _CLIENTS = 200, 1.1, 16
_VARIANTS = ("", *(f".webp?thumb={size}" for size in (64, 128, 256, 320, 480)), *(f".jpg?thumb={s}" for s in (64, 256)))


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--requests", type=int, default=60_000, help="requests (default: 60000)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """The share of hits, including the first request for each variant."""
    files = distinct(of_size(0.2, ["jpg"], 20), _IMAGES)
    seen: Counter[object] = Counter()

    def count(answer: Answer) -> None:
        seen.update((answer.headers.get("X-Cache"), answer.ok))

    async with started() as (service, _):
        with varnish.started(urlsplit(service.url).port or 0) as url:
            async with Client(url) as client:
                images = await uploaded(client, files)
                await client.closed(_requests(images, chosen.requests), _CLIENTS, count)
    variants = f"{chosen.requests} requests for {_IMAGES * len(_VARIANTS)} variants"
    return [
        at_least("share of hits", seen["HIT"] / chosen.requests, 0.95, "", variants),
        at_most("answers that are not 200", seen[False], 0),
    ]


def _requests(images: list[str], count: int) -> Iterator[str]:
    paths = [f"{image}{variant}" for image, variant in itertools.product(images, _VARIANTS)]
    chance = random.Random(1)  # noqa: S311  # the same in every run
    chance.shuffle(paths)
    zipf = Zipf(len(paths), _EXPONENT)
    return (paths[zipf.pick(chance)] for _ in range(count))
