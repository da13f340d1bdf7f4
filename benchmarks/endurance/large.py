"""Huge images in little memory: 300 requests at once for 40 to 100 MP in 1 GiB, while small images go on as before."""

import argparse
import asyncio
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.endurance.memory_limit import MemoryGroup, NoGroup, memory_group
from benchmarks.endurance.service import none_of, renderers_again, started, uploaded
from benchmarks.photos import distinct, large, of_size
from measuring.client import Answer, Client, by_status, lasting, until
from measuring.figures import Figure, at_least, at_most
from measuring.percentiles import percentile

_MIB = 1024**2
_LIMIT = 1024 * _MIB
_SMALL_CLIENTS, _SMALL_FILES = 2, 24
_SLOWER = 3
_TREATMENTS = (
    "?thumb=512",
    ".webp?thumb=1000",
    ".jpg?rotate=90&thumb=300",
    ".png?blur=5&thumb=400",
    ".jpg?crop=3000x2000&compress=70",
    ".avif?resize=800x800,cover",
    ".jpg?thumb=600&rotate=33.5",
    ".jpg?thumb=4000",
)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument(
        "--requests", type=int, default=300, help="requests for huge images, all at once (default: 300)"
    )
    parser.add_argument(
        "--seconds", type=float, default=20, help="how long only small images are requested (default: 20)"
    )
    parser.add_argument("--megapixels", type=int, nargs="+", default=[40, 70, 100], help="sizes (default: 40 70 100)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All figures. Without a memory group the service runs unlimited, and the figures of memory are left out."""
    with ExitStack() as stack:
        group = None
        try:
            group = stack.enter_context(memory_group("imgsvc-endurance", _LIMIT))
        except NoGroup as error:
            print(f"SKIPPED: the memory limit. {error}", flush=True)
        return await _under_load(chosen, group)


async def _under_load(chosen: argparse.Namespace, group: MemoryGroup | None) -> list[Figure]:
    print("making photos, once", flush=True)
    huge_files = large(chosen.megapixels)
    small_files = distinct(of_size(0.5, ("jpg", "png", "webp"), 12), _SMALL_FILES)
    settings = {"RESULT_CACHE_BYTES": "0", "RENDERER_JOBS": "1000000"}  # a renderer that is replaced was killed
    async with started(group.prefix if group else (), **settings) as (service, client):
        huge = await uploaded(client, (path.read_bytes() for path in huge_files))
        thumbs = itertools.cycle(f"{path}?thumb=200" for path in await uploaded(client, small_files))
        renderers = set(service.renderers())
        await client.closed(lasting(thumbs, 3), _SMALL_CLIENTS)  # warm-up
        print(f"only small images for {chosen.seconds:g} s", flush=True)
        idle = await client.closed(lasting(thumbs, chosen.seconds), _SMALL_CLIENTS)
        print(f"{chosen.requests} requests for {len(huge)} huge images at once", flush=True)
        answers, small = await _together(client, _spread(huge, chosen.requests), thumbs)
        after = await renderers_again(service, len(renderers))
        replaced = len(renderers - set(service.renderers()))
        print(f"  refused: {_reasons(answers)}")
        wrong = [answer for answer in (*answers, *small) if not (answer.ok or answer.refused)]
        return [
            none_of("answers other than 200 and 503 with Retry-After", wrong),
            Figure("answers for huge images", by_status(answers)),
            Figure("answers for small images meanwhile", by_status(small)),
            _latency(idle, small),
            at_least("renderers afterwards", after, len(renderers)),
            at_most("renderers replaced meanwhile", replaced, 0),
            *(_memory(group) if group else ()),
        ]


async def _together(client: Client, huge: list[str], thumbs: Iterator[str]) -> tuple[list[Answer], list[Answer]]:
    done = asyncio.Event()
    small = asyncio.create_task(client.closed(until(done, thumbs), _SMALL_CLIENTS))
    answers = await client.closed(huge, len(huge))
    done.set()
    return answers, await small


def _spread(images: list[str], count: int) -> list[str]:
    """Requests that all differ: the quality distinguishes those for the same image and treatment."""
    plain = [f"{image}{treatment}" for treatment in _TREATMENTS for image in images]
    return [f"{plain[n % len(plain)]}&compress={80 - n // len(plain)}" for n in range(count)]


def _reasons(answers: list[Answer]) -> str:
    """Why requests were refused, without the numbers, and how often."""
    said = Counter(re.sub(r"[0-9.]+", "…", json.loads(a.body)["detail"]) for a in answers if a.refused)
    return "; ".join(f"{count} x {text}" for text, count in said.most_common())


def _latency(idle: list[Answer], small: list[Answer]) -> Figure:
    for answer in sorted(small, key=lambda answer: -answer.seconds)[:5]:
        print(f"  slowest small image: {answer}")
    alone, meanwhile = (percentile([a.ms for a in found if a.ok], 0.99) for found in (idle, small))
    return at_most(
        "p99 of small images during the huge ones", meanwhile, _SLOWER * alone, " ms", f"alone {alone:.4g} ms"
    )


def _memory(group: MemoryGroup) -> list[Figure]:
    peak = f"{group.peak / _MIB:.0f} of {_LIMIT / _MIB:.0f} MiB"
    return [
        at_most("processes killed for lack of memory", group.kills, 0),
        Figure("peak of the group, including page cache", peak),
    ]
