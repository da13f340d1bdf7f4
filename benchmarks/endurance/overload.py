"""Four times as many requests as the service can answer: it goes on working, refuses at once and recovers soon."""

import argparse
import asyncio
import itertools
import math
import time
from collections.abc import Iterator

from benchmarks.endurance.service import none_of, started, uploaded
from benchmarks.photos import distinct, fifteen_megapixels
from measuring.client import Answer, Client, by_status, lasting, until
from measuring.figures import Figure, at_least, at_most
from measuring.percentiles import percentile

_COPIES = 200
_QUALITIES = range(80, 60, -1)
_CLIENTS = 8
_ROUNDS = 3
"""Rounds to find the peak: the best one was disturbed least."""
_TIMES = 4
_LEAST_GOODPUT = 0.8
_REFUSAL_MS, _HEALTH_MS = 100, 100
_RAMP_SECONDS = 2
"""Left out of each count while the queue fills."""
_PROBES_PER_SECOND = 5
_NORMAL = 2
"""Latency is normal again when an answer and most of the next ones are below twice the idle p95."""
_IN_A_ROW = 5
_CALM_SECONDS, _WATCHED_SECONDS = 5, 12


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.add_argument("--seconds", type=float, default=60, help="how long the overload lasts (default: 60)")
    parser.add_argument("--copies", type=int, default=_COPIES, help=f"different files (default: {_COPIES})")
    mixed = "include progressive files, so that costs differ; goodput is then not a fair figure"
    parser.add_argument("--mixed", action="store_true", help=mixed)


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """All figures."""
    files = distinct(fifteen_megapixels(progressive=chosen.mixed), chosen.copies)
    async with started(RESULT_CACHE_BYTES="0") as (service, client), Client(service.url, 2) as probe:
        print(f"uploading {chosen.copies} files", flush=True)
        thumbs = _thumbs(await uploaded(client, files))
        idle = await client.closed(lasting(thumbs, max(3, chosen.seconds / 10)), 1)
        print(f"the peak: {_CLIENTS} clients", flush=True)
        rounds = [await client.closed(lasting(thumbs, max(5, chosen.seconds / 6)), _CLIENTS) for _ in range(_ROUNDS)]
        peak = max(map(_goodput, rounds))
        print(f"the overload: {_TIMES * peak:.0f} requests per second for {chosen.seconds:g} s", flush=True)
        over = asyncio.Event()
        checks = until(over, itertools.repeat("/v1/images/healthcheck"))
        watching = asyncio.create_task(probe.steady(checks, _PROBES_PER_SECOND))
        offering = asyncio.create_task(client.steady(lasting(thumbs, chosen.seconds), _TIMES * peak))
        await asyncio.sleep(chosen.seconds)
        ended = time.perf_counter()
        after = await probe.closed(lasting(thumbs, _WATCHED_SECONDS), 1)
        over.set()
        health = [answer for answer in await watching if answer.started < ended]
        return [*_figures(peak, await offering, health), _afterwards(idle, after, ended)]


def _thumbs(images: list[str]) -> Iterator[str]:
    """Requests that do not repeat while an equal one may still wait: shared renders would count as good work.

    At 4 times the peak, all images have been requested after some seconds; then the quality makes a new request.
    """
    return itertools.cycle(f"{image}?thumb=512&compress={quality}" for quality in _QUALITIES for image in images)


def _goodput(answers: list[Answer]) -> float:
    """Good answers per second, from when the queue is full until the last request starts."""
    begin, end = min(a.started for a in answers) + _RAMP_SECONDS, max(a.started for a in answers)
    return sum(a.ok and begin <= a.ended < end for a in answers) / (end - begin)


def _figures(peak: float, answers: list[Answer], health: list[Answer]) -> list[Figure]:
    refused = [a for a in answers if a.refused]
    offered = len(answers) / (max(a.started for a in answers) - min(a.started for a in answers))
    late = sorted((a for a in refused if a.ms > _REFUSAL_MS), key=lambda a: -a.ms)
    for answer in late[:3]:
        print(f"  a late refusal: {answer}")
    refusals, checks = (percentile([a.ms for a in found], 0.99) for found in (refused, health))
    return [
        Figure("peak goodput", f"{peak:.1f}/s with {_CLIENTS} clients"),
        Figure("offered", f"{offered:.1f}/s: {by_status(answers)}"),
        at_least("goodput during the overload", _goodput(answers), _LEAST_GOODPUT * peak, "/s"),
        none_of("answers other than 200 and 503 with Retry-After", [a for a in answers if not (a.ok or a.refused)]),
        at_most("refusals, p99", refusals, _REFUSAL_MS, " ms", f"{len(late)} of {len(refused)} late"),
        at_most("health checks, p99", checks, _HEALTH_MS, " ms", by_status(health)),
    ]


def _afterwards(idle: list[Answer], after: list[Answer], ended: float) -> Figure:
    usual = _NORMAL * percentile([a.ms for a in idle], 0.95)
    calm = math.inf
    for number in range(len(after) - _IN_A_ROW + 1):
        slow = [not a.ok or a.ms > usual for a in after[number : number + _IN_A_ROW]]
        if sum(slow) <= _IN_A_ROW // 2 and not slow[0]:
            calm = max(0.0, after[number].started - ended)
            break
    normal = f"normal: {usual:.0f} ms, {_NORMAL} x the idle p95"
    return at_most("latency is normal again after", calm, _CALM_SECONDS, " s", normal)
