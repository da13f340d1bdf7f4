"""A site's traffic: variants asked for by Zipf's law, through our VCL, from the service itself."""

import argparse
import asyncio
import itertools
import random
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import aiohttp

from benchmarks.edge import varnish
from benchmarks.endurance.figures import at_least, at_most
from benchmarks.figures import Figure
from tests import pictures, servers

_IMAGES, _EXPONENT, _CLIENTS = 200, 1.1, 16
_VARIANTS = ("", *(f".webp?thumb={size}" for size in (64, 128, 256, 320, 480)), *(f".jpg?thumb={s}" for s in (64, 256)))


def options(parser: argparse.ArgumentParser) -> None:
    """How many requests."""
    parser.add_argument("--requests", type=int, default=60_000, help="requests (default: 60000)")


def measure(chosen: argparse.Namespace) -> list[Figure]:
    """The share of hits, the first request of each variant included."""
    return asyncio.run(_measure(chosen.requests))


async def _measure(requests: int) -> list[Figure]:
    with TemporaryDirectory() as folder, servers.serve(Path(folder), LOG_LEVEL="WARNING") as service:
        port = urlsplit(service.url).port
        assert port
        with varnish.started(port) as node:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{node.port}") as http:
                ids = [await _upload(http, number) for number in range(_IMAGES)]
                seen = await _browse(http, ids, requests)
    hits = seen["HIT"] / requests
    return [
        at_least("share of hits", hits, 0.95, "", f"{requests} requests for {_IMAGES * len(_VARIANTS)} variants"),
        at_most("answers that are not 200", seen["failed"], 0),
    ]


async def _browse(http: aiohttp.ClientSession, ids: list[str], requests: int) -> Counter[str]:
    urls = [f"/v1/images/{image_id}{variant}" for image_id, variant in itertools.product(ids, _VARIANTS)]
    picked = random.Random(1)  # noqa: S311
    picked.shuffle(urls)
    weights = [1 / rank**_EXPONENT for rank in range(1, len(urls) + 1)]
    asked = iter(picked.choices(urls, weights, k=requests))
    seen: Counter[str] = Counter()

    async def client() -> None:
        for url in asked:
            async with http.get(url) as answer:
                await answer.read()
                seen[answer.headers["X-Cache"]] += 1
                seen["failed"] += answer.status != 200  # noqa: PLR2004

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    return seen


async def _upload(http: aiohttp.ClientSession, number: int) -> str:
    body = bytes(pictures.noise(600 + number, 400).jpegsave_buffer())
    async with http.post("/v1/images", data=body, headers={"Content-Type": "image/jpeg"}) as answer:
        return str((await answer.json())["image_id"])
