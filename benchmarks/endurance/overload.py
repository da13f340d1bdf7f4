"""Four times as much as can be done: what is done goes on, what is refused is refused at once, and then all is well."""

import argparse
import asyncio
import itertools
import math
import time
from collections.abc import Iterator

from benchmarks.endurance import photos
from benchmarks.endurance.client import BUSY, OK, Answer, Client, by_status, lasting, percentile, until
from benchmarks.endurance.figures import at_least, at_most, shown
from benchmarks.endurance.service import started
from benchmarks.figures import Figure

_COPIES = 200
"""Distinct files."""
_QUALITIES = range(80, 60, -1)
_CLIENTS = 8
_ROUNDS = 3
"""Of finding the peak: the best of them is least disturbed by what else the machine does."""
_TIMES = 4
_LEAST_GOODPUT = 0.8
_REFUSAL_MS, _HEALTH_MS = 100, 100
_RAMP_SECONDS = 2
"""Left out of each count: the queue fills."""
_PROBES_A_SECOND = 5
_NORMAL = 2
"""Times the idle p95: latency is normal again where an answer and most of the next are below."""
_IN_A_ROW = 5
_CALM_SECONDS, _WATCHED_SECONDS = 5, 12


def options(parser: argparse.ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("--seconds", type=float, default=60, help="how long the overload lasts (60)")
    parser.add_argument("--copies", type=int, default=_COPIES, help=f"distinct files ({_COPIES})")
    parser.add_argument(
        "--mixed",
        action="store_true",
        help="progressive files, too: heavy work and small; goodput is then no fair figure",
    )


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All figures."""
    async with (
        started(RESULT_CACHE_BYTES="0") as service,
        Client(service.url) as client,
        Client(service.url, 2) as probe,
    ):
        print(f"uploading {chosen.copies} files", flush=True)
        files = photos.distinct(photos.fifteen_megapixels(progressive=chosen.mixed), chosen.copies)
        images = [await client.upload(body) for body in files]
        thumbs = _thumbs(images)
        idle = await client.closed(lasting(thumbs, max(3, chosen.seconds / 10)), 1)
        print(f"the peak: {_CLIENTS} clients", flush=True)
        rounds = [await client.closed(lasting(thumbs, max(5, chosen.seconds / 6)), _CLIENTS) for _ in range(_ROUNDS)]
        peak = max(map(_goodput, rounds))
        print(f"the overload: {_TIMES * peak:.0f} requests a second for {chosen.seconds:g} s", flush=True)
        over = asyncio.Event()
        watching = asyncio.create_task(
            probe.steady(until(over, itertools.repeat("/v1/images/healthcheck")), _PROBES_A_SECOND)
        )
        offering = asyncio.create_task(client.steady(lasting(thumbs, chosen.seconds), _TIMES * peak))
        await asyncio.sleep(chosen.seconds)
        ended = time.perf_counter()
        after = await probe.closed(lasting(thumbs, _WATCHED_SECONDS), 1)
        over.set()
        health = [answer for answer in await watching if answer.started < ended]
        return _figures(peak, await offering, health) + _afterwards(idle, after, ended)


def _thumbs(images: list[str]) -> Iterator[str]:
    """No request is asked for again while it may wait still: renders that are shared would count as good work.

    At 4 times the peak all images have been asked for after some seconds; then the quality makes it another request.
    """
    return itertools.cycle(f"{image}?thumb=512&compress={quality}" for quality in _QUALITIES for image in images)


def _goodput(answers: list[Answer]) -> float:
    """Good answers a second, from when the queue is full to when no more is asked for."""
    begin, end = min(a.started for a in answers) + _RAMP_SECONDS, max(a.started for a in answers)
    return sum(a.status == OK and begin <= a.ended < end for a in answers) / (end - begin)


def _figures(peak: float, answers: list[Answer], health: list[Answer]) -> list[Figure]:
    refused = [a.seconds * 1000 for a in answers if a.status == BUSY]
    wrong = [a for a in answers if a.status != OK and not (a.status == BUSY and a.retry_after)]
    offered = len(answers) / (max(a.started for a in answers) - min(a.started for a in answers))
    late = [a for a in answers if a.status == BUSY and a.seconds * 1000 > _REFUSAL_MS]
    for answer in sorted(late, key=lambda a: -a.seconds)[:3]:
        print(f"  refused after {answer.seconds * 1000:.0f} ms: {answer.said[:200]}")
    return [
        shown("peak goodput", f"{peak:.1f}/s with {_CLIENTS} clients"),
        shown("offered", f"{offered:.1f}/s: {by_status(answers)}"),
        at_least("goodput of the overload", _goodput(answers), _LEAST_GOODPUT * peak, "/s"),
        at_most("answers that are neither 200 nor 503 with Retry-After", len(wrong), 0, seen=by_status(wrong)),
        at_most("refusals, p99", percentile(refused, 0.99), _REFUSAL_MS, " ms", f"{len(late)} of {len(refused)} late"),
        at_most(
            "healthcheck, p99",
            percentile([a.seconds * 1000 for a in health], 0.99),
            _HEALTH_MS,
            " ms",
            by_status(health),
        ),
    ]


def _afterwards(idle: list[Answer], after: list[Answer], ended: float) -> list[Figure]:
    usual = _NORMAL * percentile([a.seconds for a in idle], 0.95)
    calm = math.inf
    for number in range(len(after) - _IN_A_ROW + 1):
        window = after[number : number + _IN_A_ROW]
        slow = [a for a in window if a.status != OK or a.seconds > usual]
        if len(slow) <= _IN_A_ROW // 2 and window[0] not in slow:
            calm = max(0.0, window[0].started - ended)
            break
    seen = f"normal: {usual * 1000:.0f} ms, {_NORMAL} x the idle p95"
    return [at_most("latency is normal again after", calm, _CALM_SECONDS, " s", seen)]
