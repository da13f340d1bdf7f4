"""Latency of a thumbnail by the size of the original, with levels, without, and of the peers."""

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.levels.latency import Latency
from benchmarks.levels.plot import draw
from benchmarks.levels.systems import Levelled, fetch, peer_option, prepare, running
from benchmarks.photos import Photo, copies, large
from benchmarks.results import OURS
from benchmarks.systems.base import HttpSystem, SystemFailed
from measuring.client import Client
from measuring.figures import Figure, at_most
from measuring.servers import CannotStart

CHAIN, _OUTPUT = "thumb=300", "jpeg"
_MOST = 1.3
_PLOT = Path(__file__).parents[1] / "plots" / "levels.svg"
_KINDS = {"JPEG": "jpeg", "progressive JPEG": "jpeg", "PNG": "png", "WebP": "webp", "AVIF": "avif"}
"""In the order of photos.large; their formats."""


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    sizes = [1, 4, 15, 40, 100]
    parser.add_argument("--megapixels", type=int, nargs="+", default=sizes, help="sizes (default: 1 4 15 40 100)")
    parser.add_argument("--kinds", nargs="+", choices=_KINDS, default=[*_KINDS], help="kinds of files (default: all)")
    parser.add_argument("--requests", type=int, default=9, help="requests for each median (default: 9)")
    parser.add_argument("--plot", type=Path, default=_PLOT, help="where to draw (default: benchmarks/plots/levels.svg)")
    peer_option(parser)


async def measure(chosen: argparse.Namespace) -> list[Figure]:
    """How much longer the largest originals take than the smallest ones, per kind of file."""
    print("making photos, once", flush=True)
    photos = _photos(chosen.megapixels, chosen.kinds)
    found: list[Latency] = []
    with running(Levelled(), peers=not chosen.without_peers) as systems:
        async with AsyncExitStack() as stack:
            clients = {system: await stack.enter_async_context(Client(system.urls[0])) for system in systems}
            for (kind, megapixels), photo in photos.items():
                able = {system: clients[system] for system in systems if _manages(system, photo)}
                for system, ms in (await _alternating(able, photo, chosen.requests)).items():
                    found.append(Latency(system.name, kind, megapixels, ms))
                    print(f"  {found[-1]}", flush=True)
    draw(found, f"Latency of {CHAIN} by the size of the original, one client, nothing cached (median)", chosen.plot)
    return [*_figures(found, chosen)]


def _photos(megapixels: Sequence[int], kinds: Sequence[str]) -> dict[tuple[str, int], Photo]:
    sizes = sorted(megapixels)
    paths = dict(zip(itertools.product(sizes, _KINDS), large(sizes), strict=True))
    return {(kind, size): copies(_KINDS[kind], [paths[size, kind]], 1)[0] for kind in kinds for size in sizes}


def _manages(system: HttpSystem, photo: Photo) -> bool:
    """Whether a system answers, with levels if it has any. Makes levels, and warms up."""
    try:
        if isinstance(system, Levelled):
            system.make_levels([photo])
        else:
            prepare(system, [photo])
        fetch(system, [photo], CHAIN, _OUTPUT)
    except (CannotStart, SystemFailed) as error:
        print(f"  left out: {system.name}, {photo.filename}: {error}", flush=True)
        return False
    return True


async def _alternating(clients: Mapping[HttpSystem, Client], photo: Photo, count: int) -> dict[HttpSystem, list[float]]:
    """Milliseconds of all requests. A different system is first in each round. One that fails is left out."""
    found: dict[HttpSystem, list[float]] = {system: [] for system in clients}
    for number in range(count):
        order = [*found]
        first = number % max(1, len(order))
        for system in order[first:] + order[:first]:
            answer = await clients[system].request(system.path(photo, CHAIN, _OUTPUT))
            if answer.ok:
                found[system].append(answer.ms)
            else:
                print(f"  left out: {system.name}, {photo.filename}: {answer}", flush=True)
                del found[system]
    return found


def _figures(found: Sequence[Latency], chosen: argparse.Namespace) -> Iterator[Figure]:
    for kind in chosen.kinds:
        for name in dict.fromkeys(latency.system for latency in found):
            mine = {each.megapixels: each.median for each in found if (each.system, each.kind) == (name, kind)}
            yield _growth(f"{kind}, {name}", mine, chosen.megapixels, judged=name == OURS)


def _growth(name: str, medians: Mapping[int, float], sizes: Sequence[int], *, judged: bool) -> Figure:
    """The largest original compared with the smallest. If imgsvc with levels does not manage both, that is a miss."""
    least, most = min(sizes), max(sizes)
    name = f"{name}: {most} MP / {least} MP"
    if not medians.keys() >= {least, most}:
        return Figure(name, "left out", target=f"≤ {_MOST:.4g}" if judged else "", passed=False if judged else None)
    ratio, spread = medians[most] / medians[least], f"{medians[least]:.1f} and {medians[most]:.1f} ms"
    return at_most(name, ratio, _MOST, "", spread) if judged else Figure(name, f"{ratio:.4g}", spread)
