"""First renders: what a request costs that finds no levels and has them made, on the way or in an idle process."""

import hashlib
import statistics
from pathlib import Path

from benchmarks.levels.systems import Levelled, await_files
from benchmarks.levels.work import Kind
from benchmarks.photos import distinct
from benchmarks.systems.base import HttpSystem, SystemFailed
from measuring.client import Client
from measuring.figures import Figure, at_most, extremes
from measuring.photos import size

_CHAIN = ".jpg?thumb=300"
_MOST = 1.25
_WARM = 2
"""Pairs of renders that do not count."""
_UNUSED = 100_000
"""The number of the first copy that no photo set has."""


async def first_renders(levelled: Levelled, without: HttpSystem, kind: Kind, count: int) -> Figure:
    """The median ratio of the latencies of first renders with levels and without, one after the other.

    Raises SystemFailed, or CannotStart if levels are not made.
    """
    print(f"first renders of {kind.name}", flush=True)
    pairs = []
    async with Client(levelled.urls[0]) as client, Client(without.urls[0]) as other:
        for number, body in enumerate(distinct(kind.files, _WARM + count, _UNUSED)):
            paths = {each: await each.upload(body) + _CHAIN for each in (client, other)}
            turns = (client, other) if number % 2 else (other, client)
            found = {}
            for each in turns:
                found[each] = await _latency(each, paths[each])
                if each is client:  # what is made afterwards must not disturb the other one
                    await_files(_files(levelled, kind, number, body))
            pairs.append((found[client], found[other]))
    pairs = pairs[_WARM:]
    ratios = [ours / others for ours, others in pairs]
    with_levels, alone = (statistics.median(values) * 1000 for values in zip(*pairs, strict=True))
    spread = f"{extremes(ratios)}; {with_levels:.0f} and {alone:.0f} ms"
    name = f"{kind.name}, thumb=300: first render with levels / without"
    return at_most(name, statistics.median(ratios), _MOST, "", spread)


async def _latency(client: Client, path: str) -> float:
    answer = await client.request(path)
    if not answer.ok:
        raise SystemFailed(f"a first render failed: {answer}")
    return answer.seconds


def _files(levelled: Levelled, kind: Kind, number: int, body: bytes) -> list[Path]:
    longer_side = max(size(kind.files[number % len(kind.files)]))
    return levelled.files_of(hashlib.sha256(body).hexdigest(), longer_side)
