"""Huge images in little memory: 300 requests at once over 40 to 100 MP, in 1 GiB, and small images go on as before."""

import argparse
import asyncio
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.endurance import photos
from benchmarks.endurance.client import BUSY, OK, Answer, Client, by_status, lasting, percentile, until
from benchmarks.endurance.figures import at_least, at_most, shown
from benchmarks.endurance.memory_limit import MemoryGroup, NoGroup, memory_group
from benchmarks.endurance.service import renderers_again, started
from benchmarks.figures import Figure

_MIB = 1024**2
_LIMIT = 1024 * _MIB
_SMALL_CLIENTS = 2
_SMALL_FILES = 24
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
    """Of the command line."""
    parser.add_argument("--requests", type=int, default=300, help="requests over huge images, all at once (300)")
    parser.add_argument("--seconds", type=float, default=20, help="how long small images alone are asked for (20)")
    parser.add_argument("--megapixels", type=int, nargs="+", default=[40, 70, 100], help="sizes (40 70 100)")


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All figures; without a memory group the service runs unlimited, and the figures of memory are left out."""
    with ExitStack() as stack:
        try:
            group = stack.enter_context(memory_group("imgsvc-endurance", _LIMIT))
        except NoGroup as error:
            print(f"SKIPPED: the limit of memory. {error}", flush=True)
            group = None
        return await _under_load(chosen, group)


async def _under_load(chosen: argparse.Namespace, group: MemoryGroup | None) -> list[Figure]:
    print("making the photos, once", flush=True)
    huge_files = photos.large(tuple(chosen.megapixels))
    small_files = list(photos.distinct(photos.of_size(0.5, ("jpg", "png", "webp"), 12), _SMALL_FILES))
    prefix = group.prefix if group else ()
    settings = {"RESULT_CACHE_BYTES": "0", "RENDERER_JOBS": "1000000"}  # who is replaced meanwhile was killed
    async with started(prefix, **settings) as service, Client(service.url) as client:
        huge = [await client.upload(path.read_bytes()) for path in huge_files]
        small = [await client.upload(body) for body in small_files]
        thumbs = itertools.cycle(f"{path}?thumb=200" for path in small)
        renderers = set(service.renderers())
        await client.closed(lasting(thumbs, 3), _SMALL_CLIENTS)  # warm
        print(f"small images alone, for {chosen.seconds:g} s", flush=True)
        idle = await client.closed(lasting(thumbs, chosen.seconds), _SMALL_CLIENTS)
        print(f"{chosen.requests} requests over {len(huge)} huge images at once", flush=True)
        answers, beside = await _together(client, _spread(huge, chosen.requests), thumbs)
        after = await renderers_again(service, len(renderers))
        replaced = len(renderers - set(service.renderers()))
        figures = [*_answers(answers, beside), *_latency(idle, beside)]
        figures += [
            at_least("renderers after", after, len(renderers)),
            at_most("renderers replaced meanwhile", replaced, 0),
        ]
        return figures + (_memory(group) if group else [])


async def _together(client: Client, huge: list[str], thumbs: Iterator[str]) -> tuple[list[Answer], list[Answer]]:
    done = asyncio.Event()
    small = asyncio.create_task(client.closed(until(done, thumbs), _SMALL_CLIENTS))
    answers = await client.closed(huge, len(huge))
    done.set()
    return answers, await small


def _spread(images: list[str], count: int) -> list[str]:
    """Requests of which no two are equal: the quality tells apart what goes over the same image in the same way."""
    plain = [f"{image}{treatment}" for treatment in _TREATMENTS for image in images]
    return [f"{plain[n % len(plain)]}&compress={80 - n // len(plain)}" for n in range(count)]


def _answers(answers: list[Answer], beside: list[Answer]) -> list[Figure]:
    wrong = [a for a in (*answers, *beside) if a.status != OK and not (a.status == BUSY and a.retry_after)]
    for answer in wrong[:10]:
        print(f"  {answer.path}: {answer.status} after {answer.seconds:.1f} s: {answer.said[:200]}")
    print(f"  refused: {_reasons(answers)}")
    return [
        at_most("answers that are neither 200 nor 503 with Retry-After", len(wrong), 0, seen=by_status(wrong)),
        shown("answers over huge images", by_status(answers)),
        shown("answers over small images meanwhile", by_status(beside)),
    ]


def _reasons(answers: list[Answer]) -> str:
    """Of what was refused, how often, without the figures in it."""
    said = Counter(re.sub(r"[0-9.]+", "…", json.loads(a.said)["detail"]) for a in answers if a.status == BUSY)
    return "; ".join(f"{count} x {text}" for text, count in said.most_common())


def _latency(idle: list[Answer], beside: list[Answer]) -> list[Figure]:
    for answer in sorted(beside, key=lambda answer: -answer.seconds)[:5]:
        print(f"  slowest small image: {answer.seconds * 1000:.0f} ms: {answer.status} {answer.said[:200]}")
    alone, meanwhile = (
        percentile([a.seconds * 1000 for a in found if a.status == OK], 0.99) for found in (idle, beside)
    )
    return [at_most("p99 of small images beside huge ones", meanwhile, _SLOWER * alone, " ms", f"alone {alone:.4g} ms")]


def _memory(group: MemoryGroup) -> list[Figure]:
    return [
        at_most("processes killed for want of memory", group.kills, 0),
        shown("peak of the group, page cache included", f"{group.peak / _MIB:.0f} of {_LIMIT / _MIB:.0f} MiB"),
    ]
