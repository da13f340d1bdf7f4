"""Ten thousand deletions: surrogate keys, bans, and a PURGE for each variant, each while hits go on."""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from benchmarks.edge import origin, varnish
from benchmarks.endurance.figures import at_most, shown
from benchmarks.figures import Figure
from tests.servers import python_server

_VARIANTS = (".webp?thumb=100", ".webp?thumb=200", ".jpg?thumb=300")
_CLIENTS = 8
_BASE = """
vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "ORIGIN"; }
sub vcl_hash { hash_data(req.url); return (lookup); }
"""
_BANS = (
    _BASE
    + """
import std;
sub vcl_recv {
    if (req.method == "PURGE") {
        ban("obj.http.Xkey == " + regsub(req.url, "^/v1/images/", "image-"));
        return (synth(200));
    }
}
"""
)
_EACH = (
    _BASE
    + """
sub vcl_recv { if (req.method == "PURGE") { return (purge); } }
"""
)


@dataclass
class Way:
    """A way to forget an image, and what it cost."""

    name: str
    vcl: str | None
    each_variant: bool = False
    seconds: float = 0.0
    bans: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    left: int = 0


def options(parser: argparse.ArgumentParser) -> None:
    """How many images."""
    parser.add_argument("--images", type=int, default=10_000, help="images, of three variants each (default: 10000)")


def measure(chosen: argparse.Namespace) -> list[Figure]:
    """Seconds, the longest list of bans, and latency of hits meanwhile; only what we use is judged."""
    ways = [Way("surrogate keys", None), Way("bans", _BANS), Way("PURGE of each variant", _EACH, each_variant=True)]
    found: list[Figure] = []
    with python_server(origin.__name__) as port:
        for way in ways:
            with varnish.started(port, way.vcl) as node:
                asyncio.run(_forget(node, way, chosen.images))
            p99 = statistics.quantiles(way.latencies, n=100)[98] * 1000
            print(f"  {way.name}: {way.seconds:.1f} s, bans {max(way.bans)}, p99 of hits {p99:.1f} ms", flush=True)
            found += [
                shown(f"{way.name}: seconds for {chosen.images} images", f"{way.seconds:.1f}"),
                shown(f"{way.name}: p99 of hits meanwhile", f"{p99:.1f} ms of {len(way.latencies)}"),
                shown(f"{way.name}: longest list of bans", f"{max(way.bans)}"),
            ]
    return [
        *found,
        at_most("longest list of bans with surrogate keys", max(ways[0].bans), 100),
        at_most("objects of deleted images that were left, of all ways", sum(way.left for way in ways), 0),
    ]


async def _forget(node: varnish.Varnish, way: Way, images: int) -> None:
    ids = [f"{number:032x}" for number in range(images)]
    clients, inner = f"http://127.0.0.1:{node.port}", f"http://127.0.0.1:{node.inside}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def fetch(image_id: str) -> None:
            for variant in _VARIANTS:
                async with http.get(f"{clients}/v1/images/{image_id}{variant}") as answer:
                    await answer.read()
                    way.left += way.seconds > 0 and _is_hit(answer)

        async def purge(image_id: str) -> None:
            for variant in _VARIANTS if way.each_variant else ("",):
                async with http.request("PURGE", f"{inner}/v1/images/{image_id}{variant}") as answer:
                    await answer.read()

        await _all(fetch, [*ids, "f" * 32])
        watching = asyncio.create_task(_watch(http, f"{clients}/v1/images/{'f' * 32}{_VARIANTS[0]}", node, way))
        started = time.perf_counter()
        await _all(purge, ids)
        way.seconds = time.perf_counter() - started
        watching.cancel()
        await _all(fetch, ids[:: max(1, images // 100)])


async def _watch(http: aiohttp.ClientSession, url: str, node: varnish.Varnish, way: Way) -> None:
    while True:
        started = time.perf_counter()
        async with http.get(url) as answer:
            await answer.read()
        way.latencies.append(time.perf_counter() - started)
        if len(way.latencies) % 50 == 1:
            way.bans.append(await asyncio.to_thread(node.counter, "MAIN.bans"))
        await asyncio.sleep(0.005)


async def _all(work: Callable[[str], Awaitable[None]], ids: list[str]) -> None:
    waiting = iter(ids)

    async def client() -> None:
        for image_id in waiting:
            await work(image_id)

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))


def _is_hit(answer: aiohttp.ClientResponse) -> bool:
    """Ours says so; of a hit, Varnish itself names two requests, this one and the one that filled the cache."""
    return answer.headers.get("X-Cache") == "HIT" or " " in answer.headers.get("X-Varnish", "")
